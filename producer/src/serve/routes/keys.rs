//! `/keys`, and `/api-keys` in Resend's form: two forms of the same keys. A key's text is in the answer that makes it, and
//! nowhere else.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use postroom_shared::account::AccountId;
use postroom_shared::api_keys::{ApiKey, KeyError, KeyId, Mode, NewKey, SecretKey};
use postroom_shared::audit::{Action, Subject};
use postroom_shared::clock::Millis;
use postroom_shared::mail::{Fault, Faults};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::key_shapes::{
    ApiKeyList, ApiKeyRequest, KeyBody, KeyList, KeyRequest, MadeApiKey, MadeKey, PageQuery, Permission, RemovedKey,
};
use crate::serve::app::App;
use crate::serve::auth::{Caller, Scope};
use crate::serve::body::Payload;
use crate::serve::error::{ApiError, ErrorBody};

pub(in crate::serve) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(show, revoke))
        .routes(routes!(create_api_key, list_api_keys))
        .routes(routes!(remove_api_key))
}

/// Make a key
///
/// It reaches no further than the key that makes it: of its mode and its accounts, unless something narrower is asked for.
#[utoipa::path(post, path = "/keys", tag = "keys", operation_id = "createKey", request_body = KeyRequest,
    responses(
        (status = 201, description = "The key, with its text, which is not shown again.", body = MadeKey),
        (status = 422, description = "The key cannot be as it was asked for.", body = ErrorBody),
    ))]
async fn create(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    payload: Payload,
) -> Result<(StatusCode, Json<MadeKey>), ApiError> {
    caller.demand(Scope::Admin)?;
    let request: KeyRequest = payload.json()?;
    let (key, secret) = make(&app, &caller, request.read(&caller.key)?).await?;
    app.note(&caller, Action::KeyCreate, Subject::Key(key.id.clone())).await;
    Ok((StatusCode::CREATED, Json(MadeKey::new(&key, &secret))))
}

/// All keys, the newest first
///
/// With those that were revoked or expired in the last 30 days.
#[utoipa::path(get, path = "/keys", tag = "keys", operation_id = "listKeys", params(PageQuery),
    responses(
        (status = 200, description = "The keys.", body = KeyList),
        (status = 422, description = "A parameter cannot be read.", body = ErrorBody),
    ))]
async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<KeyList>, ApiError> {
    let keys = visible(&app, &caller).await?;
    let (page, has_more) = page(&keys, query)?;
    Ok(Json(KeyList::new(page, has_more)))
}

/// One key
#[utoipa::path(get, path = "/keys/{id}", tag = "keys", operation_id = "getKey",
    params(("id" = String, Path, description = "The key's id")),
    responses(
        (status = 200, description = "The key, without its text.", body = KeyBody),
        (status = 404, description = "There is no such key (any more).", body = ErrorBody),
    ))]
async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(id): Path<String>,
) -> Result<Json<KeyBody>, ApiError> {
    Ok(Json(KeyBody::from(&find(&app, &caller, &id).await?)))
}

/// Revoke a key
///
/// For good; every server refuses it at once. Doing it again does no harm.
#[utoipa::path(delete, path = "/keys/{id}", tag = "keys", operation_id = "revokeKey",
    params(("id" = String, Path, description = "The key's id")),
    responses(
        (status = 200, description = "It is refused from now on.", body = RemovedKey),
        (status = 404, description = "There is no such key (any more).", body = ErrorBody),
    ))]
async fn revoke(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(id): Path<String>,
) -> Result<Json<RemovedKey>, ApiError> {
    remove(&app, &caller, &id).await
}

/// Make a key, in Resend's form
///
/// `full_access` has the scope `admin`, `sending_access` the scope `send`. What it has no word for: `POST /keys`.
#[utoipa::path(post, path = "/api-keys", tag = "keys", operation_id = "createApiKey", request_body = ApiKeyRequest,
    responses(
        (status = 201, description = "The key's text, which is not shown again.", body = MadeApiKey),
        (status = 422, description = "The key cannot be as it was asked for.", body = ErrorBody),
    ))]
async fn create_api_key(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    payload: Payload,
) -> Result<(StatusCode, Json<MadeApiKey>), ApiError> {
    caller.demand(Scope::Admin)?;
    let request: ApiKeyRequest = payload.json()?;
    if request.domain_id.is_some_and(|domain| !domain.is_null()) {
        let message = "keys are bound to accounts, not to domains: POST /keys with accounts";
        return Err(faulty(&Faults::one("domain_id", message)));
    }
    let scope = match request.permission.unwrap_or_default() {
        Permission::FullAccess => Scope::Admin,
        Permission::SendingAccess => Scope::Send,
    };
    let new = NewKey {
        name: request.name,
        mode: caller.key.mode,
        scopes: [scope].into_iter().collect(),
        accounts: caller.key.accounts.clone(),
        ..NewKey::default()
    };
    let (key, secret) = make(&app, &caller, new).await?;
    app.note(&caller, Action::KeyCreate, Subject::Key(key.id.clone())).await;
    Ok((StatusCode::CREATED, Json(MadeApiKey::new(&key, &secret))))
}

/// The keys that are valid, in Resend's form
#[utoipa::path(get, path = "/api-keys", tag = "keys", operation_id = "listApiKeys", params(PageQuery),
    responses(
        (status = 200, description = "The keys, the newest first.", body = ApiKeyList),
        (status = 422, description = "A parameter cannot be read.", body = ErrorBody),
    ))]
async fn list_api_keys(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<ApiKeyList>, ApiError> {
    let (mut keys, now) = (visible(&app, &caller).await?, Millis::now());
    keys.retain(|key| key.is_valid(now));
    let (page, has_more) = page(&keys, query)?;
    Ok(Json(ApiKeyList::new(page, has_more)))
}

/// Revoke a key, in Resend's form
#[utoipa::path(delete, path = "/api-keys/{id}", tag = "keys", operation_id = "removeApiKey",
    params(("id" = String, Path, description = "The key's id")),
    responses(
        (status = 200, description = "It is refused from now on.", body = RemovedKey),
        (status = 404, description = "There is no such key (any more).", body = ErrorBody),
    ))]
async fn remove_api_key(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(id): Path<String>,
) -> Result<Json<RemovedKey>, ApiError> {
    remove(&app, &caller, &id).await
}

/// Makes a key that reaches no further than the caller's.
pub(crate) async fn make(app: &App, caller: &Caller, new: NewKey) -> Result<(ApiKey, SecretKey), ApiError> {
    let now = Millis::now();
    new.check(now).map_err(|faults| faulty(&faults))?;
    if !caller.key.may_manage(new.mode, &new.accounts) {
        let message =
            "This API key may only make keys that reach no further than itself: of its mode, and bound to its accounts";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "restricted_api_key", message));
    }
    for (place, account) in new.accounts.iter().enumerate() {
        if app.client.queue().account(account).await?.is_none() {
            return Err(faulty(&Faults::one(format!("accounts[{place}]"), "there is no such account: GET /accounts")));
        }
    }
    app.keys.keys().create(new, now).await.map_err(|error| match error {
        KeyError::Faults(faults) => faulty(&faults),
        KeyError::TooMany => ApiError::invalid(error.to_string()),
        KeyError::Random(_) => ApiError::internal(error.to_string()),
        KeyError::Store(error) => error.into(),
    })
}

async fn remove(app: &App, caller: &Caller, id: &str) -> Result<Json<RemovedKey>, ApiError> {
    Ok(Json(RemovedKey::new(&revoke_one(app, caller, id).await?)))
}

/// Revokes a key that the caller may manage.
pub(crate) async fn revoke_one(app: &App, caller: &Caller, id: &str) -> Result<KeyId, ApiError> {
    let key = find(app, caller, id).await?;
    if !app.keys.keys().revoke(&key.id, Millis::now()).await? {
        return Err(ApiError::not_found("API key"));
    }
    // The message comes to this process, too, but perhaps after the answer.
    app.keys.forget(&key.id);
    app.note(caller, Action::KeyRevoke, Subject::Key(key.id.clone())).await;
    Ok(key.id)
}

/// A key that the caller may manage; any other is not there for it.
async fn find(app: &App, caller: &Caller, id: &str) -> Result<ApiKey, ApiError> {
    caller.demand(Scope::Admin)?;
    let missing = || ApiError::not_found("API key");
    let id: KeyId = id.parse().map_err(|_| missing())?;
    let key = app.keys.keys().get(&id).await?;
    key.filter(|key| caller.key.may_manage(key.mode, &key.accounts)).ok_or_else(missing)
}

/// The keys that the caller may manage.
pub(crate) async fn visible(app: &App, caller: &Caller) -> Result<Vec<ApiKey>, ApiError> {
    caller.demand(Scope::Admin)?;
    let mut keys = app.keys.keys().list().await?;
    keys.retain(|key| caller.key.may_manage(key.mode, &key.accounts));
    Ok(keys)
}

/// A part of the keys, and whether there are more beyond it. All of them if nothing is asked for.
fn page(keys: &[ApiKey], query: Result<Query<PageQuery>, QueryRejection>) -> Result<(&[ApiKey], bool), ApiError> {
    let Query(query) = query.map_err(|error| ApiError::invalid(error.body_text()))?;
    let place = |name: &str, id: &str| {
        let place = keys.iter().position(|key| key.id.as_str() == id);
        place.ok_or_else(|| wrong(name, "give the id of a key in this list"))
    };
    let asked = query.limit.is_some() || query.after.is_some() || query.before.is_some();
    let limit = match query.limit.as_deref().map(str::parse) {
        None if asked => 20,
        None => keys.len(),
        Some(Ok(limit @ 1..=100)) => limit,
        Some(_) => return Err(wrong("limit", "give a whole number from 1 to 100")),
    };
    match (query.after, query.before) {
        (Some(_), Some(_)) => Err(wrong("after", "before is given, too: give one of them")),
        (None, Some(before)) => {
            let newer = &keys[..place("before", &before)?];
            let from = newer.len().saturating_sub(limit);
            Ok((&newer[from..], from > 0))
        }
        (after, None) => {
            let from = after.map_or(Ok(0), |after| place("after", &after).map(|place| place + 1))?;
            let to = keys.len().min(from.saturating_add(limit));
            Ok((&keys[from..to], to < keys.len()))
        }
    }
}

fn wrong(name: &str, what: &str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_parameter", format!("{name}: {what}"))
}

fn faulty(faults: &Faults) -> ApiError {
    ApiError::of_mail(&faults.clone().into())
}

impl KeyRequest {
    /// The key that is asked for by whoever has `maker`.
    fn read(self, maker: &ApiKey) -> Result<NewKey, ApiError> {
        let mut faults = Vec::new();
        let mut fault = |field: String, message: String| faults.push(Fault { field, message });
        let mut accounts = Vec::new();
        for (place, text) in self.accounts.iter().flatten().enumerate() {
            match text.parse::<AccountId>() {
                Ok(account) => accounts.push(account),
                Err(error) => fault(format!("accounts[{place}]"), error.to_string()),
            }
        }
        let expires_at = self.expires_at.as_deref().map(|text| {
            let at = text.parse::<jiff::Timestamp>().ok().map(|at| u64::try_from(at.as_millisecond()).unwrap_or(0));
            if at.is_none() {
                fault("expires_at".to_owned(), "not a time: write RFC 3339, such as 2027-01-31T09:00:00Z".to_owned());
            }
            Millis(at.unwrap_or(0))
        });
        if let Some(refusal) = crate::door::Refusal::unless_empty(faults) {
            return Err(ApiError::of_mail(&refusal));
        }
        Ok(NewKey {
            name: self.name,
            mode: self.mode.map_or(maker.mode, Mode::from),
            scopes: self.scopes.into_iter().map(Scope::from).collect(),
            accounts: if self.accounts.is_some() { accounts } else { maker.accounts.clone() },
            expires_at,
            rate: self.rate,
        })
    }
}
