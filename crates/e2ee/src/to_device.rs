//! Sending messages to devices (client-server API, "Send-to-Device messaging"). Devices get them by `/sync`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use myelin_model::{Actor, limits};
use myelin_storage::{AppendError, Delivery, SentToDevice, StorageError};
use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde_json::{Map, Value, json};

use crate::E2ee;

/// The size of one message, as JSON.
const MESSAGE_SIZE_BYTES_MAX: usize = 65_536;

/// The number of devices that one request may send to. Clients send to some hundred at once.
const DEVICES_MAX: usize = 10_000;

/// The name that stands for all devices of a user.
const ALL_DEVICES: &str = "*";

/// The contents of a request: of each user's devices, or of all of them by `*`.
type Contents = BTreeMap<OwnedUserId, BTreeMap<String, Value>>;

/// Messages to devices, as a client sends them.
#[derive(Debug)]
pub struct Messages(Contents);

/// The reason why nothing is sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("{0}")]
    Invalid(&'static str),
    #[error("A message is larger than {MESSAGE_SIZE_BYTES_MAX} bytes")]
    MessageTooLarge,
    #[error("There are more than {DEVICES_MAX} devices")]
    TooManyDevices,
    #[error("The {0} is too long")]
    TooLong(&'static str),
    #[error(transparent)]
    Storage(#[from] Arc<StorageError>),
}

impl Messages {
    /// The `messages` of a request's body: `{user: {device: content}}`. What names no user, nobody is sent.
    pub fn read(messages: Map<String, Value>) -> Result<Self, SendError> {
        let mut contents = Contents::new();
        for (user_id, devices) in messages {
            let Value::Object(devices) = devices else {
                return Err(SendError::Invalid("messages must be objects of objects"));
            };
            if devices.values().any(|content| !content.is_object()) {
                return Err(SendError::Invalid("the content of a message must be an object"));
            }
            let user_id = UserId::parse(&user_id);
            let user_id = user_id.map_err(|_| SendError::Invalid("messages must name users"))?;
            contents.insert(user_id, devices.into_iter().collect());
        }
        Ok(Self(contents))
    }
}

/// Send messages to devices. They are stored when this returns, and their devices wake. A request that is repeated sends nothing
/// again. Users and devices that are not there are passed over.
pub async fn send_to_device(
    e2ee: &E2ee,
    sender: &Actor,
    event_type: &str,
    txn_id: &str,
    Messages(contents): Messages,
) -> Result<(), SendError> {
    if event_type.len() > limits::ID_LENGTH_BYTES_MAX {
        return Err(SendError::TooLong("event type"));
    }
    if txn_id.len() > limits::TXN_ID_LENGTH_BYTES_MAX {
        return Err(SendError::TooLong("transaction ID"));
    }
    let deliveries = deliveries(e2ee, &sender.user_id, event_type, contents).await?;
    if deliveries.is_empty() {
        return Ok(());
    }
    let sent = SentToDevice {
        sender: sender.user_id.clone(),
        device_id: sender.device_id().map_or("", |device_id| device_id.as_str()).into(),
        event_type: event_type.into(),
        txn_id: txn_id.into(),
        deliveries,
        now_ms: e2ee.now_ms(),
    };
    e2ee.db().writer().send_to_device(sent).await.map_err(|error| match error {
        AppendError::Storage(error) => SendError::Storage(error),
        // Only events build upon something that may have moved on.
        AppendError::Conflict => {
            SendError::Storage(Arc::new(StorageError::foreign("to_device")("refused")))
        }
    })
}

/// The messages by their devices, those that are for all devices of a user included.
async fn deliveries(
    e2ee: &E2ee,
    sender: &UserId,
    event_type: &str,
    mut contents: Contents,
) -> Result<Vec<Delivery>, SendError> {
    // There is no way to other servers yet.
    contents.retain(|user_id, _| user_id.server_name() == e2ee.server_name());
    let to_all = contents.iter().filter(|(_, devices)| devices.contains_key(ALL_DEVICES));
    let to_all: Vec<OwnedUserId> = to_all.map(|(user_id, _)| user_id.clone()).collect();
    let mut devices_of: HashMap<OwnedUserId, Vec<String>> = HashMap::new();
    if !to_all.is_empty() {
        let devices = e2ee.db().to_device().list_devices(&to_all).await.map_err(Arc::new)?;
        for (user_id, device_id) in devices {
            devices_of.entry(user_id).or_default().push(device_id);
        }
    }
    let mut count = 0;
    let mut deliveries = Vec::with_capacity(contents.len());
    for (user_id, contents) in contents {
        let devices = devices_of.remove(&user_id).unwrap_or_default();
        let messages = messages(sender, event_type, contents, devices)?;
        count += messages.len();
        if count > DEVICES_MAX {
            return Err(SendError::TooManyDevices);
        }
        if !messages.is_empty() {
            deliveries.push(Delivery { user_id, messages });
        }
    }
    Ok(deliveries)
}

/// The messages for the devices of one user. A device that is named gets what is for it, not what is for all.
fn messages(
    sender: &UserId,
    event_type: &str,
    mut contents: BTreeMap<String, Value>,
    devices: Vec<String>,
) -> Result<Vec<(OwnedDeviceId, Arc<str>)>, SendError> {
    let to_message = |content: Value| {
        let message = json!({ "type": event_type, "sender": sender, "content": content });
        let message = message.to_string();
        if message.len() > MESSAGE_SIZE_BYTES_MAX {
            return Err(SendError::MessageTooLarge);
        }
        Ok(Arc::<str>::from(message))
    };
    let to_all = contents.remove(ALL_DEVICES).map(to_message).transpose()?;
    let mut messages = Vec::new();
    if let Some(message) = to_all {
        let others = devices.into_iter().filter(|device_id| !contents.contains_key(device_id));
        messages
            .extend(others.map(|device_id| (OwnedDeviceId::from(device_id), Arc::clone(&message))));
    }
    for (device_id, content) in contents {
        messages.push((OwnedDeviceId::from(device_id), to_message(content)?));
    }
    Ok(messages)
}
