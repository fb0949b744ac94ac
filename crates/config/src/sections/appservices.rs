//! `app_service_config_files`: bridges and bots, each with a registration file of its own.

use std::path::{Path, PathBuf};

use myelin_model::Secret;

use crate::{
    Sources,
    error::Problem,
    reader::{Found, Reader, Section, absolute},
    source::Document,
    yaml,
};

/// An application service's registration.
#[derive(Clone, Debug)]
pub struct AppService {
    /// The file it was read from.
    pub file: PathBuf,
    /// `id`: its name, once on the server.
    pub id: String,
    /// `url`: where events go; none if it wants none.
    pub url: Option<String>,
    /// `as_token`: what it shows to us.
    pub as_token: Secret,
    /// `hs_token`: what we show to it.
    pub hs_token: Secret,
    /// `sender_localpart`: the user it speaks as by default.
    pub sender_localpart: String,
    /// `rate_limited`: whether rate limits hold for its users. Default: true.
    pub rate_limited: bool,
    /// `protocols`: networks it bridges to.
    pub protocols: Vec<String>,
    pub users: Vec<Namespace>,
    pub aliases: Vec<Namespace>,
    pub rooms: Vec<Namespace>,
    /// `receive_ephemeral` (or `de.sorunome.msc2409.push_ephemeral`): typing, receipts, presence too. Default: false.
    pub receive_ephemeral: bool,
    /// `io.element.msc4190`: makes the devices of its users by itself, and logs nobody in. Default: false.
    pub manages_devices: bool,
}

/// A part of the ids that an application service cares for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// `regex`: matches from the beginning of an id.
    pub regex: String,
    /// `exclusive`: whether nobody else may have such ids.
    pub exclusive: bool,
}

pub(crate) fn read(root: &Section<'_>) -> Vec<AppService> {
    let mut services: Vec<AppService> = Vec::new();
    for file in root.texts("app_service_config_files").unwrap_or_default() {
        let file = absolute(Path::new(&file));
        let Some(service) = read_file(root, &file) else { continue };
        if let Some(other) = services.iter().find(|other| other.id == service.id) {
            wrong(
                root,
                &file,
                format!("its id {:?} is already that of {}", service.id, other.file.display()),
            );
        } else if let Some(other) = services.iter().find(|other| other.as_token == service.as_token)
        {
            wrong(root, &file, format!("its as_token is already that of {}", other.file.display()));
        } else {
            services.push(service);
        }
    }
    services
}

fn wrong(root: &Section<'_>, file: &Path, text: String) {
    root.reader.problems.borrow_mut().push(Problem {
        file: Some(file.to_owned()),
        line: 0,
        key: String::new(),
        text,
    });
}

fn read_file(root: &Section<'_>, file: &Path) -> Option<AppService> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            root.wrong_key(
                "app_service_config_files",
                format!("{} cannot be read: {error}", file.display()),
            );
            return None;
        }
    };
    let node = match yaml::parse(&text) {
        Ok(node) => node,
        Err(error) => {
            wrong(root, file, format!("not valid YAML: {error}"));
            return None;
        }
    };
    let mut document = Document { files: vec![file.to_owned()], ..Document::default() };
    if let yaml::Value::Map(entries) = node.value {
        document.lay_over(entries, file);
    }
    let sources = Sources { secrets_in_config: true, ..Sources::default() };
    let reader = Reader::new(&document, &sources, Vec::new());
    let service = read_service(&reader.root(), file);
    root.reader.problems.borrow_mut().append(&mut reader.problems.borrow_mut());
    root.reader.warnings.borrow_mut().append(&mut reader.warnings.borrow_mut());
    service
}

fn read_service(section: &Section<'_>, file: &Path) -> Option<AppService> {
    let required = |key: &str| {
        let text = section.text_or_number(key);
        if section.find(key).is_none() {
            section.wrong_key(key, "is missing".to_owned());
        }
        text
    };
    let id = required("id");
    let as_token = required("as_token");
    let hs_token = required("hs_token");
    let sender_localpart = required("sender_localpart");
    if let Some(localpart) = &sender_localpart
        && !localpart.chars().all(is_plain)
    {
        let message =
            "must be the part of a user ID between @ and : alone, without special characters";
        section.wrong_key("sender_localpart", message.to_owned());
    }
    if section.find("namespaces").is_none() {
        section.wrong_key("namespaces", "is missing: {} if it has none".to_owned());
    }
    let namespaces = section.section("namespaces");
    let flag = |names: &[&str]| names.iter().any(|name| section.bool(name, false));
    let service = AppService {
        file: file.to_owned(),
        id: id?,
        url: section.text("url").filter(|url| !url.is_empty()),
        as_token: Secret::new(as_token?),
        hs_token: Secret::new(hs_token?),
        sender_localpart: sender_localpart?,
        rate_limited: section.bool("rate_limited", true),
        protocols: section.texts("protocols").unwrap_or_default(),
        users: read_namespaces(&namespaces, "users"),
        aliases: read_namespaces(&namespaces, "aliases"),
        rooms: read_namespaces(&namespaces, "rooms"),
        receive_ephemeral: flag(&[
            "receive_ephemeral",
            "de.sorunome.msc2409.push_ephemeral",
            "push_ephemeral",
        ]),
        manages_devices: section.bool("io.element.msc4190", false),
    };
    warn_of_missing(section, &service);
    Some(service)
}

/// Whether a character may stand in the name of an application service's own user: those that need no escape in a URL, as in Synapse.
fn is_plain(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '-' | '~' | '/')
}

/// Tells what a registration asks for and does not get yet.
fn warn_of_missing(section: &Section<'_>, service: &AppService) {
    if service.url.is_some() {
        section.warn("url", "no events are sent to application services yet".to_owned());
    }
    let key = "org.matrix.msc3202";
    if section.bool(key, false) {
        let lost = "changes of devices and counts of keys are not sent yet";
        section.warn(key, format!("not supported yet: {lost}"));
    }
}

fn read_namespaces(namespaces: &Section<'_>, kind: &str) -> Vec<Namespace> {
    let Some(sections) = namespaces.sections(kind) else { return Vec::new() };
    let mut found = Vec::new();
    for section in sections {
        let exclusive = section.bool("exclusive", false);
        if section.find("exclusive").is_none() {
            let meaning = "is missing: true if nobody else may have such names, else false";
            section.wrong_key("exclusive", meaning.to_owned());
        }
        match section.find("regex") {
            None => section.wrong_key("regex", "is missing".to_owned()),
            Some(Found { .. }) => {
                found.extend(section.text("regex").map(|regex| Namespace { regex, exclusive }));
            }
        }
    }
    found
}
