//! What every command needs: the configuration, who asks, and how to say what happens.

use crate::args::Global;
use crate::output::progress::{Reporter, Style};
use engine::clock::SystemClock;
use engine::component::Surroundings;
use engine::config::{CONFIG_FILE, Config, ConfigInputs};
use engine::room::{Actor, Room};
use engine::source::postgres::ClientSettings;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vault::error::IoContext;
use vault::{Error, ErrorKind, Progress, Result};

/// A command's surroundings.
pub struct Session {
    /// The configuration.
    pub config: Arc<Config>,
    /// Who asks.
    pub actor: Actor,
    /// How progress is shown.
    pub reporter: Arc<Reporter>,
    /// JSON on standard output.
    pub json: bool,
    inputs: ConfigInputs,
}

impl Session {
    /// Reads the configuration from its files, the environment and the command line, and starts the log.
    pub fn start(global: &Global) -> Result<Self> {
        let inputs = read_inputs(global)?;
        let config = load(&inputs)?;
        let style = match (global.json || global.quiet, std::io::stderr().is_terminal()) {
            (true, _) => Style::Nothing,
            (false, true) => Style::Bar,
            (false, false) => Style::Lines,
        };
        let reporter = Arc::new(Reporter::new(style));
        if let Err(why) = crate::logging::start(&config.log, &config.log.folder, global.verbose) {
            reporter.warning(&why);
        }
        Ok(Self { config: Arc::new(config), actor: actor(), reporter, json: global.json, inputs })
    }

    /// Opens the room, which also finishes or undoes what a crash left half done.
    pub fn room(&self) -> Result<Room> {
        let (room, news) = Room::open(self.config.clone(), surroundings(), Arc::new(SystemClock), &self.progress())?;
        for line in news {
            self.reporter.warning(&line);
        }
        Ok(room)
    }

    /// Opens the room and leaves everything as it is: for the service, which looks after what a crash left itself.
    pub fn room_as_it_is(&self) -> Result<Room> {
        Room::open_without_recovery(self.config.clone(), surroundings(), Arc::new(SystemClock))
    }

    /// Progress as the engine wants it.
    pub fn progress(&self) -> Arc<dyn Progress> {
        self.reporter.clone()
    }

    /// Sets one value over everything else, as `--set` does.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.inputs.overrides.push((key.to_owned(), value.to_owned()));
        self.config = Arc::new(load(&self.inputs)?);
        Ok(())
    }

    /// Reads the configuration anew.
    pub fn reload(&self) -> Result<Config> {
        let mut inputs = self.inputs.clone();
        (inputs.toml, inputs.dotenv) = read_files(&inputs.folder, self.config.file.as_deref())?;
        load(&inputs)
    }
}

fn load(inputs: &ConfigInputs) -> Result<Config> {
    Config::load(inputs, |folder, variable| engine::detect::detect(folder, variable))
}

fn read_inputs(global: &Global) -> Result<ConfigInputs> {
    let current = std::env::current_dir().doing(|| "looking for the current folder")?;
    let folder = global.folder.as_ref().map_or_else(|| current.clone(), |folder| current.join(folder));
    let folder = folder.canonicalize().doing(|| format!("opening the folder {}", folder.display()))?;
    let file = global.config.as_ref().map(|file| current.join(file));
    let (toml, dotenv) = read_files(&folder, file.as_deref())?;
    // What is not UTF-8 cannot be one of our variables.
    let env: BTreeMap<_, _> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let overrides = global.overrides.iter().map(|pair| parse_override(pair)).collect::<Result<_>>()?;
    Ok(ConfigInputs { folder, toml, dotenv, env, overrides })
}

type TextFile = Option<(PathBuf, String)>;

fn read_files(folder: &Path, named: Option<&Path>) -> Result<(TextFile, TextFile)> {
    let toml = match named {
        Some(path) => Some(read_optional(path)?.ok_or_else(|| {
            Error::new(
                ErrorKind::Config,
                format!("there is no configuration file {}", path.display()),
                "Check the path after --config; `strongroom init` makes a file with every setting explained.",
            )
        })?),
        None => read_optional(&folder.join(CONFIG_FILE))?,
    };
    Ok((toml, read_optional(&folder.join(".env"))?))
}

fn read_optional(path: &Path) -> Result<TextFile> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::io(format!("reading {}", path.display()), cause)),
    }
}

fn parse_override(pair: &str) -> Result<(String, String)> {
    let (key, value) = pair.split_once('=').ok_or_else(|| {
        Error::new(
            ErrorKind::Usage,
            format!("--set {pair}: a key and a value are wanted"),
            "Write it as --set retention.daily=14.",
        )
    })?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// What the engine may know of this process's environment.
pub fn surroundings() -> Surroundings {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let home = || variable("HOME").map(|home| Path::new(&home).join(".pgpass"));
    let pgpass =
        variable("PGPASSFILE").map(PathBuf::from).or_else(home).and_then(|path| std::fs::read_to_string(path).ok());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let user = variable("PGUSER").or_else(|| variable("USER")).or_else(|| variable("LOGNAME"));
    let tool_folders = std::env::split_paths(&path).collect();
    Surroundings { postgres: ClientSettings { user, pgpass: pgpass.map(Into::into), tool_folders } }
}

/// Who sits at this terminal, as far as the system tells.
fn actor() -> Actor {
    let uid = rustix::process::getuid().as_raw();
    let name = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| format!("uid {uid}"));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Actor { origin: format!("cli {name}@{host}"), name }
}
