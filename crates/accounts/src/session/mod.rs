//! Sessions: who an access token stands for, and how one comes by it and loses it.

mod authenticate;
mod cache;
mod identify;
mod live;
mod log_in;
mod log_out;
mod refresh;
mod seen;
mod start;

pub(crate) use self::cache::SessionCache;
pub use self::{
    authenticate::{AuthenticateError, Authenticated, Credentials, authenticate, is_of_appservice},
    identify::{IdentifyError, identify},
    live::LiveSession,
    log_in::{
        LogInError, LoggedIn, add_login_token, log_in_as, log_in_by_password, log_in_by_token,
        log_in_sender,
    },
    log_out::{log_out, log_out_everywhere},
    refresh::{RefreshError, refresh},
    seen::note_seen,
    start::{NewSession, StartedSession, start, start_logged_in},
};
