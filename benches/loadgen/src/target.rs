//! The homeservers that are measured.

use std::{path::PathBuf, str::FromStr};

use anyhow::Context as _;

use crate::{client::Client, usage::Watch};

/// `NAME=URL[,URL...]`.
#[derive(Clone)]
pub(crate) struct NamedUrls {
    pub(crate) name: String,
    urls: Vec<String>,
}

impl FromStr for NamedUrls {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, urls) = text.split_once('=').context("give NAME=URL")?;
        Ok(Self { name: name.to_owned(), urls: urls.split(',').map(str::to_owned).collect() })
    }
}

/// `[TARGET=]TOKEN`.
#[derive(Clone)]
pub(crate) struct NamedToken {
    target: Option<String>,
    token: String,
}

impl FromStr for NamedToken {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (target, token) = match text.split_once('=') {
            Some((target, token)) => (Some(target.to_owned()), token),
            None => (None, text),
        };
        Ok(Self { target, token: token.to_owned() })
    }
}

/// `TARGET=FILE`.
#[derive(Clone)]
pub(crate) struct NamedFile {
    target: String,
    file: PathBuf,
}

impl FromStr for NamedFile {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (target, file) = text.split_once('=').context("give TARGET=FILE")?;
        Ok(Self { target: target.to_owned(), file: file.into() })
    }
}

/// A homeserver, and how we get users there.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) shared_secret: String,
    pub(crate) as_token: Option<String>,
    /// The file in which users and rooms are kept for later runs.
    pub(crate) kept: Option<PathBuf>,
    pub(crate) watches: Vec<Watch>,
}

impl Target {
    /// Puts together what the command line says of one target. Connects to nothing yet.
    pub(crate) fn new(
        named: &NamedUrls,
        shared_secret: &str,
        as_tokens: &[NamedToken],
        keep: &[NamedFile],
        watches: &[Watch],
    ) -> anyhow::Result<Self> {
        let as_token = as_tokens
            .iter()
            .find(|token| token.target.as_ref().is_none_or(|target| *target == named.name));
        Ok(Self {
            name: named.name.clone(),
            client: Client::new(&named.urls)?,
            shared_secret: shared_secret.to_owned(),
            as_token: as_token.map(|token| token.token.clone()),
            kept: keep.iter().find(|keep| keep.target == named.name).map(|keep| keep.file.clone()),
            watches: watches.iter().filter(|watch| watch.is_of(&named.name)).cloned().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_takes_its_own_token_file_and_watches() {
        let named: NamedUrls = "a=http://localhost:1,http://localhost:2".parse().unwrap();
        let tokens: Vec<NamedToken> =
            ["b=other", "a=own"].into_iter().map(|text| text.parse().unwrap()).collect();
        let keep: Vec<NamedFile> =
            ["b=1.json", "a=2.json"].into_iter().map(|text| text.parse().unwrap()).collect();
        let watches: Vec<Watch> = ["a:server=1+2", "b:server=3", "postgres=4"]
            .into_iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let target = Target::new(&named, "secret", &tokens, &keep, &watches).unwrap();
        assert_eq!(target.kept.as_deref(), Some(std::path::Path::new("2.json")));
        assert_eq!(target.as_token.as_deref(), Some("own"));
        let names: Vec<&str> = target.watches.iter().map(|watch| watch.name.as_str()).collect();
        assert_eq!(names, ["server", "postgres"]);
    }
}
