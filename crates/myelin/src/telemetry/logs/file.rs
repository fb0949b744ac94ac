//! A log file that is begun anew at midnight or when it is large, as Python's rotating handlers do.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use myelin_config::sections::logging::Rotation;

const DAY_S: u64 = 24 * 60 * 60;

/// A log file.
pub struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    keep: u32,
    open: Mutex<Open>,
}

struct Open {
    file: File,
    size_bytes: u64,
    day: u64,
}

impl LogFile {
    /// Opens it to write at its end.
    pub fn open(path: PathBuf, rotation: Rotation, keep: u32) -> io::Result<LogFile> {
        let open = Mutex::new(open(&path)?);
        Ok(LogFile { path, rotation, keep, open })
    }

    /// Opens it again at its path, after something else moved it away.
    pub fn reopen(&self) -> io::Result<()> {
        let new = open(&self.path)?;
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    fn rotate_if_due(&self, open: &mut Open) -> io::Result<()> {
        let today = today();
        let aside = match self.rotation {
            Rotation::Never => return Ok(()),
            Rotation::Daily if open.day == today => return Ok(()),
            Rotation::SizeBytes(size) if open.size_bytes < size => return Ok(()),
            Rotation::Daily => with_suffix(&self.path, &date(open.day)),
            Rotation::SizeBytes(_) => {
                for number in (1..self.keep).rev() {
                    let (from, to) = (number.to_string(), (number + 1).to_string());
                    _ = std::fs::rename(
                        with_suffix(&self.path, &from),
                        with_suffix(&self.path, &to),
                    );
                }
                with_suffix(&self.path, "1")
            }
        };
        std::fs::rename(&self.path, aside)?;
        *open = self::open(&self.path)?;
        if self.rotation == Rotation::Daily && self.keep > 0 {
            self.delete_old();
        }
        Ok(())
    }

    /// Deletes the oldest daily files beyond `keep`. Other files that begin with its name are not ours.
    fn delete_old(&self) {
        let (Some(folder), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return;
        };
        let start = format!("{}.", name.to_string_lossy());
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        let mut old: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                name.is_some_and(|name| name.strip_prefix(&start).is_some_and(is_date))
            })
            .collect();
        old.sort();
        let keep = usize::try_from(self.keep).unwrap_or(usize::MAX);
        for path in old.iter().take(old.len().saturating_sub(keep)) {
            _ = std::fs::remove_file(path);
        }
    }
}

impl Write for &LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Logging into the old file is better than not logging.
        _ = self.rotate_if_due(&mut open);
        let written = open.file.write(bytes)?;
        open.size_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One writer for one line.
pub struct Line(Arc<LogFile>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogFile {
    /// A writer for one line.
    pub fn line(self: &Arc<Self>) -> Line {
        Line(self.clone())
    }
}

fn open(path: &Path) -> io::Result<Open> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let size_bytes = file.metadata()?.len();
    Ok(Open { file, size_bytes, day: today() })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn today() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / DAY_S
}

/// Whether a text has the form of [`date`].
fn is_date(text: &str) -> bool {
    text.len() == "2026-11-22".len()
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// The date of a day since 1970 as `2026-11-22` (algorithm of Howard Hinnant, days to civil).
fn date(day: u64) -> String {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{of_month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (day, want) in [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (20_779, "2026-11-22"),
            (20_454, "2026-01-01"),
        ] {
            assert_eq!(date(day), want);
        }
    }

    #[test]
    fn only_its_own_old_files_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let others = [
            "hs.log.config",
            "hs.log.2026-11-20.gz",
            "hs.log.1",
            "hs.log.old",
            "hs.log.20261120xx",
        ];
        for name in
            others.iter().chain(&["hs.log.2026-11-19", "hs.log.2026-11-20", "hs.log.2026-11-21"])
        {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let file = LogFile::open(folder.path().join("hs.log"), Rotation::Daily, 2).unwrap();
        file.delete_old();
        assert!(others.iter().all(|name| folder.path().join(name).exists()));
        assert!(!folder.path().join("hs.log.2026-11-19").exists());
        assert!(folder.path().join("hs.log.2026-11-20").exists());
    }

    #[test]
    fn a_large_file_is_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hs.log");
        let file = LogFile::open(path.clone(), Rotation::SizeBytes(10), 2).unwrap();
        for line in ["first line\n", "second line\n", "third line\n", "fourth line\n"] {
            (&file).write_all(line.as_bytes()).unwrap();
        }
        let read =
            |suffix: &str| std::fs::read_to_string(format!("{}{suffix}", path.display())).unwrap();
        assert_eq!(read(""), "fourth line\n");
        assert_eq!(read(".1"), "third line\n");
        assert_eq!(read(".2"), "second line\n");
        assert!(!folder.path().join("hs.log.3").exists());
    }
}
