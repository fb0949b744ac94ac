//! The folder of the cluster: found, locked, made at the first start.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, PermissionsExt, chown},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use myelin_config::sections::own::EmbeddedPostgres as Settings;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::{binaries::Binaries, owner::Owner};

/// The name of the database, and of the user that owns it, in the cluster.
const DATABASE: &str = "myelin";
/// The port that names the socket's file. Nothing listens on a port.
const PORT: u16 = 5432;
/// The log of PostgreSQL is begun anew at a start when it is larger than this, in bytes.
const LOG_SIZE_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// The folder of the cluster, which nobody else uses while this lives.
pub struct Cluster {
    /// The path of the cluster, `<data folder>/postgres`.
    pub directory: PathBuf,
    pub binaries: Binaries,
    pub owner: Owner,
    pub settings: Settings,
    /// The folder itself, open, so that it is found without its path.
    handle: File,
    /// Held as long as we run: a second Myelin on the same data is refused.
    _lock: File,
}

impl Cluster {
    /// Opens the folder; makes the cluster if it is not there.
    pub async fn open(directory: &Path, settings: &Settings) -> anyhow::Result<Cluster> {
        let parent = directory.parent().context("the data folder has no parent")?;
        fs::create_dir_all(parent)
            .with_context(|| format!("the data folder {} cannot be made", parent.display()))?;
        let lock = lock(&parent.join("postgres.lock"))?;
        let owner = Owner::choose(settings.user.as_deref())?;
        let data_major = read_major(directory)?;
        let binaries = Binaries::find(settings.bin_directory.as_deref(), data_major, directory)?;
        if data_major.is_none() {
            tracing::warn!(
                folder = %directory.display(), version = %binaries.version,
                "making the embedded database, empty. If this server has data already, stop it and correct myelin.data_directory"
            );
            let (directory, binaries) = (directory.to_owned(), binaries.clone());
            tokio::task::spawn_blocking(move || init(&directory, &binaries, owner)).await??;
        }
        let metadata = fs::metadata(directory)?;
        if metadata.uid() != owner.uid {
            give_all(directory, owner).with_context(|| {
                format!("{} cannot be given to the user of PostgreSQL", directory.display())
            })?;
        }
        let handle = open_inheritable(directory)?;
        Ok(Cluster {
            directory: directory.to_owned(),
            binaries,
            owner,
            settings: settings.clone(),
            handle,
            _lock: lock,
        })
    }

    /// The folder as our processes see it, whatever the permissions of the folders above.
    pub fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.handle.as_raw_fd())
    }

    /// The options of a connection to the server's database.
    pub fn connect_options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(self.path())
            .port(PORT)
            .username(DATABASE)
            .database(DATABASE)
            .application_name("myelin")
    }

    /// The options of a connection to the cluster before the server's database exists.
    pub fn maintenance_options(&self) -> PgConnectOptions {
        self.connect_options().database("postgres")
    }

    /// Makes the server's database if it is not there.
    pub async fn create_database(&self) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect_with(&self.maintenance_options()).await?;
        let found: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_database WHERE datname = $1")
            .bind(DATABASE)
            .fetch_optional(&mut connection)
            .await?;
        if found.is_none() {
            sqlx::query("CREATE DATABASE myelin").execute(&mut connection).await?;
        }
        connection.close().await
    }

    /// A text for messages that names the cluster.
    pub fn description(&self) -> String {
        format!("embedded PostgreSQL {} in {}", self.binaries.version, self.directory.display())
    }

    /// The file that PostgreSQL logs to, beside its folder.
    pub fn log_path(&self) -> PathBuf {
        self.directory.with_extension("log")
    }

    /// Opens the log for PostgreSQL to write to.
    pub fn open_log(&self) -> std::io::Result<File> {
        let path = self.log_path();
        let is_large =
            fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LOG_SIZE_BYTES_MAX);
        let mut options = OpenOptions::new();
        options.create(true);
        if is_large { options.write(true).truncate(true) } else { options.append(true) }.open(path)
    }

    /// The command line of the server process.
    pub fn command(&self) -> std::io::Result<Command> {
        let mut command = Command::new(self.binaries.program("postgres"));
        command.arg("-D").arg(self.path());
        let connections_max = self.settings.connections + 10;
        let settings = [
            "listen_addresses=".to_owned(),
            // Relative to the folder, where it needs no long path.
            "unix_socket_directories=.".to_owned(),
            "unix_socket_permissions=0700".to_owned(),
            format!("port={PORT}"),
            "fsync=on".to_owned(),
            "synchronous_commit=on".to_owned(),
            format!("max_connections={connections_max}"),
            format!("shared_buffers={}", self.settings.shared_buffers),
            "jit=off".to_owned(),
            "max_parallel_workers_per_gather=0".to_owned(),
            "random_page_cost=1.1".to_owned(),
            "wal_buffers=16MB".to_owned(),
            "max_wal_size=1GB".to_owned(),
            "checkpoint_timeout=15min".to_owned(),
            "autovacuum_vacuum_scale_factor=0.05".to_owned(),
            "autovacuum_analyze_scale_factor=0.02".to_owned(),
            "update_process_title=off".to_owned(),
            "log_checkpoints=off".to_owned(),
            "log_destination=stderr".to_owned(),
            "logging_collector=off".to_owned(),
            "log_line_prefix=%m [%p] ".to_owned(),
        ];
        for setting in settings {
            command.arg("-c").arg(setting);
        }
        command
            .stdin(Stdio::null())
            .current_dir("/")
            .stdout(self.open_log()?)
            .stderr(self.open_log()?);
        clean_environment(&mut command);
        // Of its own, so that Ctrl-C in a terminal reaches Myelin, which stops it in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        self.owner.become_in(&mut command);
        Ok(command)
    }
}

/// Settings for other PostgreSQLs must not reach ours.
fn clean_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C").env("TZ", "UTC");
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("{} cannot be opened", path.display()))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => bail!(
            "another Myelin runs with the data in {}. Stop it first, or give this one a myelin.data_directory of its own",
            path.parent().unwrap_or(path).display()
        ),
        Err(error) => Err(error).with_context(|| format!("{} cannot be locked", path.display())),
    }
}

/// The major version of the data, if there are any.
fn read_major(directory: &Path) -> anyhow::Result<Option<u32>> {
    let file = directory.join("PG_VERSION");
    match fs::read_to_string(&file) {
        Ok(text) => {
            let major = text
                .trim()
                .parse()
                .with_context(|| format!("{} holds no version", file.display()))?;
            Ok(Some(major))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", file.display())),
    }
}

/// Makes the cluster beside its place and moves it there when it is whole: a start that was cut short leaves
/// nothing that looks like data.
fn init(directory: &Path, binaries: &Binaries, owner: Owner) -> anyhow::Result<()> {
    if directory.exists() && fs::read_dir(directory)?.next().is_some() {
        bail!("{} is there but holds no PostgreSQL data; move it away", directory.display());
    }
    let unfinished = directory.with_extension("new");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir(&unfinished)
        .with_context(|| format!("{} cannot be made", unfinished.display()))?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o700))?;
    if owner.is_other {
        chown(&unfinished, Some(owner.uid), Some(owner.gid))?;
    }
    let handle = open_inheritable(&unfinished)?;
    let mut command = Command::new(binaries.program("initdb"));
    command
        .arg("-D")
        .arg(format!("/proc/self/fd/{}", handle.as_raw_fd()))
        .args(["--encoding=UTF8", "--locale=C", "--auth=trust", "--no-instructions"])
        .arg(format!("--username={DATABASE}"))
        .stdin(Stdio::null())
        .current_dir("/");
    clean_environment(&mut command);
    owner.become_in(&mut command);
    let output = command
        .output()
        .with_context(|| format!("{} does not run", binaries.program("initdb").display()))?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    drop(handle);
    if directory.exists() {
        fs::remove_dir(directory)?;
    }
    fs::rename(&unfinished, directory)
        .with_context(|| format!("{} cannot be made", directory.display()))
}

/// Opens a folder so that the programs we start have it too.
fn open_inheritable(directory: &Path) -> anyhow::Result<File> {
    let handle = File::open(directory)
        .with_context(|| format!("{} cannot be opened", directory.display()))?;
    rustix::io::fcntl_setfd(&handle, rustix::io::FdFlags::empty())?;
    Ok(handle)
}

/// Gives a folder and all in it to the cluster's user, after Myelin's own user has changed.
fn give_all(path: &Path, owner: Owner) -> std::io::Result<()> {
    std::os::unix::fs::lchown(path, Some(owner.uid), Some(owner.gid))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give_all(&entry?.path(), owner)?;
        }
    }
    Ok(())
}
