//! `myelin register-user`, also as `register_new_matrix_user`: makes an account by the shared secret
//! (`/_synapse/admin/v1/register`).

use std::{
    io::{BufRead, Write},
    path::PathBuf,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Parser;
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, Request, Response, StatusCode, header};
use myelin_config::{
    Config, Sources,
    sections::listeners::{ListenAddress, Listener, ListenerKind, Resource},
};
use myelin_outbound::{AddressRules, Outbound, Reach};
use serde_json::{Value, json};
use sha1::Sha1;

use super::socket_client::send_to_socket;

/// The size of an answer that is read, in bytes.
const ANSWER_SIZE_BYTES_MAX: usize = 1024 * 1024;

const SERVER_URL_DEFAULT: &str = "http://localhost:8008";

/// Make an account on a running server, also when registration is closed. The server must have a
/// registration_shared_secret.
#[derive(Parser)]
#[command(name = "register_new_matrix_user")]
pub struct RegisterUserArgs {
    /// Local part of the new user's id; asked for if it is not given.
    #[arg(short = 'u', long)]
    user: Option<String>,
    /// Succeed if the user is there already.
    #[arg(long)]
    exists_ok: bool,
    /// Password; asked for if neither this nor --password-file is given.
    #[arg(short = 'p', long, conflicts_with = "password_file")]
    password: Option<String>,
    /// File that holds the password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Type of the user: `bot` or `support`.
    #[arg(short = 't', long = "user_type", alias = "user-type")]
    user_type: Option<String>,
    /// Make the user an admin of the server; asked for if neither this nor --no-admin is given.
    #[arg(short = 'a', long, conflicts_with = "no_admin")]
    admin: bool,
    /// Make the user no admin.
    #[arg(long)]
    no_admin: bool,
    /// Config of the server, for the shared secret and the URL; may be given several times.
    #[arg(
        short = 'c',
        long,
        value_name = "FILE",
        required_unless_present = "shared_secret",
        conflicts_with = "shared_secret"
    )]
    config: Vec<PathBuf>,
    /// The registration_shared_secret itself.
    #[arg(short = 'k', long, value_name = "SECRET")]
    shared_secret: Option<String>,
    /// URL of the server [default: from the config, or http://localhost:8008]
    server_url: Option<String>,
}

/// The address of the server.
enum Place {
    /// A URL, without a slash at its end.
    Url(String),
    /// The path of a unix socket.
    Socket(PathBuf),
}

/// Makes the account.
pub fn run(args: &RegisterUserArgs) -> anyhow::Result<()> {
    let config = match args.config.as_slice() {
        [] => None,
        paths => {
            let sources = Sources { paths: paths.to_vec(), ..Sources::default() };
            Some(
                myelin_config::load_part(&sources, &["registration_shared_secret", "listeners"])?
                    .config,
            )
        }
    };
    let secret = match &args.shared_secret {
        Some(secret) => secret.clone(),
        None => read_secret(config.as_ref())?,
    };
    let place = find_place(args, config.as_ref());
    let user = match &args.user {
        Some(user) if !user.is_empty() => user.clone(),
        _ => ask_user()?,
    };
    let password = read_password(args)?;
    let admin = match (args.admin, args.no_admin) {
        (false, false) => matches!(ask("Make admin [no]: ")?.as_str(), "y" | "yes" | "true"),
        (admin, _) => admin,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(register(args, &place, &secret, &user, &password, admin))
}

fn read_secret(config: Option<&Config>) -> anyhow::Result<String> {
    let secret = config.and_then(|config| config.registration.shared_secret.as_ref());
    let secret = secret.context(
        "No 'registration_shared_secret' or 'registration_shared_secret_path' defined in config.",
    )?;
    Ok(secret.expose().to_owned())
}

fn find_place(args: &RegisterUserArgs, config: Option<&Config>) -> Place {
    if let Some(url) = &args.server_url {
        return Place::Url(url.trim_end_matches('/').to_owned());
    }
    let Some(config) = config else {
        eprintln!("No server url or configuration file given. Defaulting to {SERVER_URL_DEFAULT}.");
        return Place::Url(SERVER_URL_DEFAULT.to_owned());
    };
    let clients = || config.listeners.iter().filter(|listener| is_for_clients(listener));
    let port = clients().find_map(|listener| match &listener.address {
        ListenAddress::Tcp { port, .. } => Some(Place::Url(format!("http://localhost:{port}"))),
        ListenAddress::Unix { .. } => None,
    });
    let socket = || {
        clients().find_map(|listener| match &listener.address {
            ListenAddress::Unix { path, .. } => Some(Place::Socket(path.clone())),
            ListenAddress::Tcp { .. } => None,
        })
    };
    port.or_else(socket).unwrap_or_else(|| {
        eprintln!(
            "Unable to find a suitable HTTP listener in the configuration file. Trying {SERVER_URL_DEFAULT} as a last \
             resort."
        );
        Place::Url(SERVER_URL_DEFAULT.to_owned())
    })
}

fn is_for_clients(listener: &Listener) -> bool {
    listener.kind == ListenerKind::Http && !listener.tls && listener.serves(Resource::Client)
}

fn read_password(args: &RegisterUserArgs) -> anyhow::Result<String> {
    if let Some(file) = &args.password_file {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        let password = text.trim();
        if password.is_empty() {
            bail!("{} holds no password.", file.display());
        }
        return Ok(password.to_owned());
    }
    match &args.password {
        Some(password) if !password.is_empty() => Ok(password.clone()),
        _ => {
            let password = rpassword::prompt_password("Password: ")?;
            if password.is_empty() {
                bail!("Password cannot be blank.");
            }
            if rpassword::prompt_password("Confirm password: ")? != password {
                bail!("Passwords do not match");
            }
            Ok(password)
        }
    }
}

fn ask_user() -> anyhow::Result<String> {
    let own = std::env::var("USER").unwrap_or_default();
    let prompt = if own.is_empty() {
        "New user localpart: ".to_owned()
    } else {
        format!("New user localpart [{own}]: ")
    };
    let answer = ask(&prompt)?;
    let user = if answer.is_empty() { own } else { answer };
    if user.is_empty() {
        bail!("Invalid user name");
    }
    Ok(user)
}

fn ask(prompt: &str) -> anyhow::Result<String> {
    print!("{prompt}");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

async fn register(
    args: &RegisterUserArgs,
    place: &Place,
    secret: &str,
    user: &str,
    password: &str,
    admin: bool,
) -> anyhow::Result<()> {
    let answer = send(Method::GET, place, "").await?;
    if answer.status != StatusCode::OK {
        return Err(refused(&answer));
    }
    let nonce = answer
        .body
        .get("nonce")
        .and_then(Value::as_str)
        .context("the server sent no nonce")?
        .to_owned();
    let body = json!({
        "nonce": nonce,
        "username": user,
        "password": password,
        "mac": mac(secret, &nonce, user, password, admin, args.user_type.as_deref())?,
        "admin": admin,
        "user_type": args.user_type,
    });
    println!("Sending registration request...");
    let answer = send(Method::POST, place, &body.to_string()).await?;
    if answer.status == StatusCode::OK {
        println!("Success!");
        return Ok(());
    }
    if args.exists_ok && answer.body.get("errcode").and_then(Value::as_str) == Some("M_USER_IN_USE")
    {
        println!("User already exists. Skipping.");
        return Ok(());
    }
    Err(refused(&answer))
}

/// The answer of the server.
struct Answer {
    status: StatusCode,
    /// The JSON; null if it is none.
    body: Value,
}

async fn send(method: Method, place: &Place, body: &str) -> anyhow::Result<Answer> {
    const PATH: &str = "/_synapse/admin/v1/register";
    let uri = match place {
        Place::Url(url) => format!("{url}{PATH}"),
        Place::Socket(_) => PATH.to_owned(),
    };
    let request = Request::builder()
        .method(method)
        .uri(&uri)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.to_owned().into())
        .with_context(|| format!("{uri:?} is no URL"))?;
    let response = match place {
        Place::Url(_) => {
            send_to_url(request).await.with_context(|| format!("no server answers at {uri}"))?
        }
        Place::Socket(socket) => send_to_socket(socket, request).await?,
    };
    let body = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
    Ok(Answer { status: response.status(), body })
}

async fn send_to_url(request: Request<Bytes>) -> anyhow::Result<Response<Bytes>> {
    let outbound = Outbound::new(AddressRules::new(vec![], vec![]))?;
    let answer = outbound.send(Reach::Anywhere, request).await?;
    let status = answer.status();
    let body = answer.read(ANSWER_SIZE_BYTES_MAX).await?;
    Ok(Response::builder().status(status).body(body)?)
}

fn refused(answer: &Answer) -> anyhow::Error {
    println!("ERROR! Received {}", answer.status);
    let error =
        answer.body.get("error").and_then(Value::as_str).unwrap_or("the server gave no reason");
    println!("{error}");
    anyhow::anyhow!("the user was not registered")
}

/// HMAC-SHA1 over the fields with NUL between them, in hexadecimal.
fn mac(
    secret: &str,
    nonce: &str,
    user: &str,
    password: &str,
    admin: bool,
    user_type: Option<&str>,
) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes())?;
    let mut parts = vec![nonce, user, password, if admin { "admin" } else { "notadmin" }];
    parts.extend(user_type.filter(|kind| !kind.is_empty()));
    mac.update(parts.join("\0").as_bytes());
    Ok(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::mac;

    #[test]
    fn the_mac_is_synapses() {
        // python3: hmac.new(b"s", b"n\0u\0p\0notadmin", "sha1").hexdigest()
        assert_eq!(
            mac("s", "n", "u", "p", false, None).unwrap(),
            "26f3059760aebb1bcdcebc65f1bcb7b75691a8d6"
        );
        assert_eq!(
            mac("s", "n", "u", "p", true, Some("bot")).unwrap(),
            "173fd7c2b221032f1aacd7f19707b781fe8f6bef"
        );
    }
}
