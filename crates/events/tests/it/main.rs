//! Tests of the rules over whole room histories.

mod histories;
mod history;
mod room;
mod ruma_twin;
