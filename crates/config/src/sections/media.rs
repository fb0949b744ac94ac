//! Media: where files lie and how large they may be.

use std::path::PathBuf;

use crate::reader::Section;

/// The folder of media, and limits of their size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// `media_store_path`: the folder of uploaded files. Default: `media_store` in the working directory.
    pub store_path: PathBuf,
    /// `max_upload_size`: largest file, in bytes. Default: 50M.
    pub max_upload_size_bytes: u64,
}

pub(crate) fn read(root: &Section<'_>) -> Media {
    const UPLOAD_SIZE_DEFAULT_BYTES: u64 = 50 << 20;
    Media {
        store_path: root
            .path("media_store_path")
            .unwrap_or_else(|| crate::reader::absolute(std::path::Path::new("media_store"))),
        max_upload_size_bytes: root
            .size_bytes("max_upload_size")
            .unwrap_or(UPLOAD_SIZE_DEFAULT_BYTES),
    }
}
