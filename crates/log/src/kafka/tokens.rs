//! Who gives the tokens that SASL's OAUTHBEARER shows to brokers, and what to look at when there are none.
//!
//! librdkafka fetches the tokens of an OpenID Connect provider and renews them by itself (`sasl.oauthbearer.method = oidc`);
//! tokens that nobody signed it makes once, at the start. Nothing else gives tokens here.

use super::KafkaOptions;
use crate::LogError;

/// Who is shown unsecured tokens; librdkafka makes one at the start, by `sasl.oauthbearer.config`.
const UNSECURED: &str = "enable.sasl.oauthbearer.unsecure.jwt";
/// What librdkafka's complaint begins with; the provider's answer follows, or why there is none.
const NO_TOKEN: &str = "Failed to acquire SASL OAUTHBEARER token";
/// What a broker answers to a token that it does not take (RFC 7628, 3.2.2).
const NOT_TAKEN: &str = "{\"status\":\"";
/// A provider's word on who asks, and for what (RFC 6749, 5.2): the same question gets the same answer.
const FINAL: [&str; 6] = [
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
];

/// Refuses tokens that nobody would give us.
pub(super) fn check(options: &KafkaOptions) -> Result<(), LogError> {
    let named = |name: &str| options.properties.get(name).map_or("", |value| value.trim());
    let bearer = [named("sasl.mechanism"), named("sasl.mechanisms")].contains(&"OAUTHBEARER");
    let given = named(UNSECURED) == "true" || named("sasl.oauthbearer.method").eq_ignore_ascii_case("oidc");
    match bearer && !given {
        true => Err(LogError::Invalid(format!(
            "[log.kafka] sasl.mechanism OAUTHBEARER does not say who gives tokens; set sasl.oauthbearer.method = oidc and the \
             provider's sasl.oauthbearer.token.endpoint.url, sasl.oauthbearer.client.id and sasl.oauthbearer.client.secret, \
             or, where the broker takes unsecured tokens, {UNSECURED} = true and in sasl.oauthbearer.config a lifeSeconds \
             that outlasts the process"
        ))),
        false => Ok(()),
    }
}

/// True when asking again is of no use. A provider that is away, or a proxy's word in its place, is waited for.
pub(super) fn is_final(said: &str) -> bool {
    !said.starts_with(NO_TOKEN) || FINAL.iter().any(|word| said.contains(word))
}

/// Which property to look at when there is no token or the broker takes none, by what librdkafka says of it.
pub(super) fn to_check(said: &str) -> Option<&'static str> {
    if said.contains(NOT_TAKEN) {
        return Some("that the broker trusts who gives the tokens, and sasl.oauthbearer.*");
    }
    let why = said.strip_prefix(NO_TOKEN)?;
    let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
    Some(if says(&["invalid_client", "unauthorized_client"]) {
        "sasl.oauthbearer.client.id and sasl.oauthbearer.client.secret"
    } else if says(&["invalid_scope"]) {
        "sasl.oauthbearer.scope"
    } else if says(&["certificate"]) {
        "https.ca.location"
    } else {
        "sasl.oauthbearer.token.endpoint.url"
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::client::tests::options;

    #[test]
    fn tokens_that_nobody_gives_are_refused_at_start() {
        let bearer = ("sasl.mechanisms", "OAUTHBEARER");
        let refused = check(&options(&[bearer, ("sasl.oauthbearer.client.secret", "canary")])).unwrap_err();
        assert!(refused.to_string().contains("sasl.oauthbearer.method") && !refused.to_string().contains("canary"));
        assert!(check(&options(&[bearer, ("sasl.oauthbearer.method", "OIDC")])).is_ok());
        assert!(check(&options(&[bearer, (UNSECURED, "true")])).is_ok());
        assert!(check(&options(&[("sasl.mechanism", "PLAIN")])).is_ok());
    }

    /// As librdkafka says it; a real provider's words are in `promises/kafka_security.rs`.
    #[test]
    fn a_provider_that_is_away_is_waited_for() {
        for away in ["Could not connect to server", "<html>502 Bad Gateway</html>"] {
            let said = format!("{NO_TOKEN}: {away}");
            assert!(!is_final(&said));
            assert_eq!(to_check(&said), Some("sasl.oauthbearer.token.endpoint.url"));
        }
        assert!(is_final(&format!("{NO_TOKEN}: {{\"error\":\"invalid_client\"}}")));
        assert!(is_final("SASL authentication error: {\"status\":\"invalid_token\"}"));
        assert_eq!(to_check("SASL authentication error: Authentication failed"), None);
    }
}
