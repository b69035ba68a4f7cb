//! Composes the parts that a role needs into one process and takes them down in order.
//!
//! The order of the way down: no new clients and a "reconnect" to those that are here, then the connectors (their rows
//! durable, their slots free), then the log.

use std::{future::Future, net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use prometheus_client::registry::Registry;
use rowcast_gateway::Gateway;
use rowcast_postgres::ConnectorConfig;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{
    capture::{self, Capture},
    files,
    logs::{self, Logs},
    opening, operator,
    pages::PublicPages,
    ready::{Readiness, Views},
    serving::gateway_options,
    settings::{Role, Settings},
    stop::told_to_stop,
};

/// Runs until `stop` turns true. `started` is called once, with the addresses, when the listeners are open.
pub async fn run(
    role: Role,
    settings: Settings,
    mut stop: watch::Receiver<bool>,
    started: impl FnOnce(&Addresses),
) -> Result<()> {
    let configs = capture::read(if role.captures() { &settings.connectors } else { &[] })?;
    let files_max = files::raise_limit();
    let mut opened = open_logs(role, &settings, &configs);
    // What is wrong is usually found at once, and said before anybody is told that we are up.
    let logs = match tokio::time::timeout(opening::QUICK, &mut opened).await {
        Ok(opened) => Some(opened??),
        Err(_) => None,
    };
    let doors = Doors::open(role, &settings).await?;
    let addresses = doors.addresses()?;
    started(&addresses);
    addresses.log(role, &settings);
    let logs = match logs {
        Some(logs) => logs,
        None => tokio::select! {
            biased;
            () = told_to_stop(&mut stop) => return Ok(()),
            opened = doors.answer_until(&settings, opened) => opened??,
        },
    };

    let mut registry = Registry::default();
    logs.register(&mut registry);
    let Logs { written, served } = logs;
    // Whoever serves is there before what is to be served.
    let gateway = served.map(|served| {
        let gateway = Gateway::start(served.log.clone(), gateway_options(&settings, files_max));
        gateway.metrics().register(&mut registry);
        (gateway, served)
    });
    let capture = written.clone().map(|log| Capture::start(log, configs, &mut registry));
    let statuses = capture.as_ref().map(Capture::statuses).unwrap_or_default();
    let mut readiness = Readiness::new(written, statuses.clone());
    if let Some((gateway, served)) = &gateway {
        readiness.wait_for(Views::follow(served, gateway.clone(), statuses));
    }
    let readiness = Arc::new(readiness);
    let operator = operator::serve(doors.operators, Arc::new(registry), readiness.clone(), stop.clone());
    tokio::spawn(operator);

    match (gateway, doors.public) {
        (Some((gateway, served)), Some(public)) => {
            let pages = Arc::new(PublicPages::new(served.log, readiness));
            gateway.serve(public, pages, stop).await.context("public listener")?;
        }
        _ => told_to_stop(&mut stop).await,
    }
    if let Some(capture) = capture {
        capture.stop().await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Opens the logs on a thread that may block.
fn open_logs(role: Role, settings: &Settings, configs: &[ConnectorConfig]) -> JoinHandle<Result<Logs>> {
    let (settings, configs) = (settings.clone(), configs.to_vec());
    tokio::task::spawn_blocking(move || logs::open(role, &settings, &configs))
}

/// Where the process listens.
pub struct Addresses {
    /// Page and streams, if clients are served.
    pub public: Option<SocketAddr>,
    /// `/metrics` and `/health`.
    pub metrics: SocketAddr,
}

impl Addresses {
    fn log(&self, role: Role, settings: &Settings) {
        let metrics = self.metrics;
        let kafka = settings.kafka.as_ref().map(|kafka| &kafka.address);
        match self.public {
            Some(listen) => tracing::info!(
                role = role.name(), %listen, %metrics, data_dir = %settings.data_dir.display(), kafka, "rowcast is up"
            ),
            None => tracing::info!(role = role.name(), %metrics, kafka, "rowcast is up"),
        }
    }
}

/// The listeners.
struct Doors {
    public: Option<TcpListener>,
    operators: TcpListener,
}

impl Doors {
    async fn open(role: Role, settings: &Settings) -> Result<Doors> {
        let public = match role.serves() {
            true => Some(bind("listen", settings.listen).await?),
            false => None,
        };
        let operators = bind("metrics_listen", settings.metrics_listen).await?;
        Ok(Doors { public, operators })
    }

    /// Says at the listeners that the logs are still being opened.
    async fn answer_until<T>(&self, settings: &Settings, opened: impl Future<Output = T>) -> T {
        let why = match settings.kafka {
            Some(_) => "waiting for Kafka, which has not answered yet",
            None => "the log is being opened",
        };
        let public = self.public.as_ref().map(|listener| (listener, why));
        opening::answer_until((&self.operators, why), public, opened).await
    }

    fn addresses(&self) -> Result<Addresses> {
        let public = self.public.as_ref().map(TcpListener::local_addr);
        Ok(Addresses {
            public: public.transpose()?,
            metrics: self.operators.local_addr()?,
        })
    }
}

async fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}; is another rowcast running? Set {setting} to another address (--{})",
            setting.replace('_', "-")
        )
    })
}
