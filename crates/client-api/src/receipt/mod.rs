//! Receipts: the events up to which users have read (client-server API, "Receipts").

mod create_receipt;

use myelin_http::{ApiError, RumaRouter};
use myelin_rooms::receipts::ReceiptError;
use ruma::api::client::receipt;

use crate::{ClientApi, reply};

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<receipt::create_receipt::v3::Request, _, _>(create_receipt::handler)
}

pub(crate) fn to_api_error(error: ReceiptError) -> ApiError {
    match error {
        ReceiptError::NotInRoom(_) => ApiError::forbidden(error.to_string()),
        ReceiptError::View(error) => reply::view_error(error),
        ReceiptError::UnknownEvent => ApiError::not_found(error.to_string()),
        ReceiptError::OtherThread { .. } => ApiError::invalid_param(error.to_string()),
        ReceiptError::Storage(error) => error.into(),
    }
}
