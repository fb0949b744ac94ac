//! Cross-signing: users sign their devices and one another, so that only users need to be verified (client-server API,
//! "Cross-signing").

mod key;
mod upload_keys;
mod upload_signatures;

pub(crate) use self::key::public_half;
pub use self::{
    key::{InvalidSigningKey, UploadedSigningKeys},
    upload_keys::{UploadSigningKeysError, upload_signing_keys},
    upload_signatures::{
        SignatureError, SignatureFailure, UploadSignaturesError, upload_signatures,
    },
};
