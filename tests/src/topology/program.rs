//! One service as a plain process, over all its lives.
//!
//! Promises: started means healthy; every line that it printed is kept, in memory and in its log file. Knows nothing of what
//! it runs.

use std::{collections::BTreeMap, env, path::PathBuf, process::Command};

use anyhow::{Context, bail};

use crate::{
    child::{Child, Farewell},
    http,
    lines::Lines,
    until,
};

/// What to run, and how to see that it is well.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// All of it but `PATH`: a container inherits nothing either.
    pub(crate) environment: BTreeMap<String, String>,
    /// Where it runs.
    pub(crate) folder: PathBuf,
    pub(crate) log: PathBuf,
    /// The page that its health check asks: `http://127.0.0.1:PORT/path`.
    pub(crate) health_url: String,
    pub(crate) farewell: Farewell,
}

/// A service, running or not.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    recipe: Recipe,
    child: Option<Child>,
    /// Where the lines of this life begin.
    from: usize,
    lines: Lines,
}

impl Program {
    pub(crate) async fn start(name: &str, recipe: Recipe) -> anyhow::Result<Program> {
        let mut program = Program {
            name: name.to_owned(),
            recipe,
            child: None,
            from: 0,
            lines: Lines::default(),
        };
        program.start_again().await?;
        Ok(program)
    }

    /// A new life, after it was killed or has ended; returns when it is healthy.
    pub(crate) async fn start_again(&mut self) -> anyhow::Result<()> {
        // What has ended by itself is still there to be asked how.
        self.child = None;
        let recipe = &self.recipe;
        let mut command = Command::new(&recipe.program);
        command.args(&recipe.arguments).current_dir(&recipe.folder).env_clear();
        command.envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(&recipe.environment);
        self.from = self.lines.len();
        self.child = Some(Child::spawn(command, &recipe.log, &self.lines, recipe.farewell)?);
        self.healthy().await
    }

    async fn healthy(&self) -> anyhow::Result<()> {
        let (address, path) = self.health_page()?;
        let what = format!("{} to be healthy", self.name);
        let healthy = until(&what, || async {
            if self.has_ended() {
                bail!("{} has ended at its start", self.name);
            }
            let response = http::get(address, path).await.ok();
            Ok(response.filter(|response| response.status == 200))
        });
        match healthy.await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.context(self.log_text())),
        }
    }

    /// Address and path of the page that its health check asks.
    pub(crate) fn health_page(&self) -> anyhow::Result<(&str, &str)> {
        let url = &self.recipe.health_url;
        let rest = url.strip_prefix("http://");
        let slash = rest.and_then(|rest| Some(rest.split_at(rest.find('/')?)));
        slash.with_context(|| format!("the health check of {} asks {url}", self.name))
    }

    fn has_ended(&self) -> bool {
        self.lines.text_from(self.from).ends_with(Lines::END)
    }

    /// Returns when this life has ended, by itself or by somebody else.
    pub(crate) async fn ended(&self) -> &str {
        self.lines.find_from(self.from, |line| line == Lines::END).await;
        &self.name
    }

    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// The process's number, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// SIGKILL; returns when it is gone.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        let child = self.child.take().with_context(|| format!("{} runs", self.name))?;
        child.kill(&self.lines).await
    }

    /// SIGTERM; returns when it has ended by itself.
    pub(crate) async fn terminate(&mut self) -> anyhow::Result<()> {
        match self.child.take() {
            // It may have ended before it was told to: its last line is not to come any more.
            Some(child) if !self.has_ended() => child.terminate(&self.lines, self.from).await,
            _ => Ok(()),
        }
    }

    pub(crate) fn log_text(&self) -> String {
        format!("{} logged:\n{}", self.name, self.lines.text_from(0))
    }
}
