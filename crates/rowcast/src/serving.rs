//! What the public listener is told by the settings.

use rowcast_gateway::{AllowedHosts, GatewayOptions};

use crate::{files, settings::Settings};

/// The gateway's options, in a process that may open so many files.
pub(crate) fn gateway_options(settings: &Settings, files_max: Option<u64>) -> GatewayOptions {
    let connections_max = files::connections_that_fit(settings.connections_max, files_max, files::open_files());
    if connections_max < settings.connections_max {
        tracing::warn!(
            "connections_max is {connections_max} and not {}: this process may open {} files, and capture needs some of them; \
             raise its limit (ulimit -Hn, or LimitNOFILE= of its service)",
            settings.connections_max,
            files_max.unwrap_or_default()
        );
    }
    GatewayOptions {
        allowed_origins: settings.allowed_origins.clone(),
        allowed_hosts: allowed_hosts(settings),
        connections_max,
        message_bytes_max: settings.message_bytes_max,
        subscriptions_max: settings.subscriptions_max,
        handshake_timeout: settings.handshake_timeout,
        ping_after: settings.ping_after,
        dead_after: settings.dead_after,
        stalled_after: settings.stalled_after,
        ring_bytes_max: settings.ring_bytes_max,
        ..GatewayOptions::default()
    }
}

/// On a public address nobody but the operator knows the names that lead there, so none is refused until one is given.
fn allowed_hosts(settings: &Settings) -> AllowedHosts {
    let listen = settings.listen.ip();
    if settings.allowed_hosts.is_empty() && !listen.is_loopback() {
        return AllowedHosts::any();
    }
    let own = match listen.is_unspecified() {
        true => AllowedHosts::loopback(),
        false => AllowedHosts::loopback().and_address(listen),
    };
    settings
        .allowed_hosts
        .iter()
        .fold(own, |hosts, name| hosts.and_name(name))
}
