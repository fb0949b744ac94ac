//! `GET /_matrix/client/v3/account/whoami` (client-server API, "Current account information").

use myelin_http::{ApiError, Ruma, RumaResponse};
use ruma::api::client::account::whoami::v3::{Request, Response};

#[tracing::instrument(name = "client.account.whoami", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(req: Ruma<Request>) -> Result<RumaResponse<Response>, ApiError> {
    let device_id = req.requester.device_id().map(ToOwned::to_owned);
    let mut response = Response::new(req.requester.user_id, req.requester.is_guest);
    response.device_id = device_id;
    Ok(RumaResponse(response))
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;

    use crate::test_server;

    const PATH: &str = "/_matrix/client/v3/account/whoami";

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn names_the_caller(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;

        let body = server.get(PATH, Some(&alice)).await.ok();

        assert_eq!(body["user_id"], "@alice:example.org");
        assert_eq!(body["device_id"], "DEV");
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn refuses_who_has_no_good_token(pool: PgPool) {
        let server = test_server::open(pool).await;
        let mut nobody = server.user("alice").await;
        nobody.token = "nope".to_owned();

        assert_eq!(server.get(PATH, Some(&nobody)).await.error(), (401, "M_UNKNOWN_TOKEN"));
        assert_eq!(server.get(PATH, None).await.error(), (401, "M_MISSING_TOKEN"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn unknown_endpoints_are_named_so(pool: PgPool) {
        let server = test_server::open(pool).await;

        assert_eq!(server.get("/_matrix/client/nope", None).await.error(), (404, "M_UNRECOGNIZED"));
        assert_eq!(server.delete(PATH, None).await.error(), (405, "M_UNRECOGNIZED"));
        let options = server.request(http::Method::OPTIONS, PATH, None, None).await;
        assert_eq!(options.headers["access-control-allow-origin"], "*");
        assert_eq!(options.status, 204);
    }
}
