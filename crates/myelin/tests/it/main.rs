//! The program itself: its command line, its starts and stops, and its embedded database.

mod command_line;
mod listeners;
mod server;
mod start_and_stop;
