//! Makes the unsecured tokens of SASL OAUTHBEARER anew before they expire (RFC 7515, `"alg":"none"`).
//!
//! librdkafka makes the first one by itself, where `enable.sasl.oauthbearer.unsecure.jwt` says so; its later questions for one
//! come to the client's owner, since `rdkafka` listens to them. The claims are librdkafka's, from the same
//! `sasl.oauthbearer.config`. Knows of no token that somebody signs: those need OIDC, which our librdkafka is built without.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rdkafka::client::OAuthToken;

use super::{KafkaOptions, client::now_ms};
use crate::LogError;

const UNSECURED: &str = "enable.sasl.oauthbearer.unsecure.jwt";

/// librdkafka's default for `lifeSeconds`.
const LIFE_SECONDS: i64 = 3600;

/// Whether clients show tokens, which expire.
pub(crate) fn are_shown(options: &KafkaOptions) -> bool {
    let named = |name: &str| options.properties.get(name);
    let mechanism = named("sasl.mechanism").or_else(|| named("sasl.mechanisms"));
    mechanism.is_some_and(|mechanism| mechanism.trim() == "OAUTHBEARER")
}

/// Refuses tokens that nobody would give us.
pub(crate) fn check(options: &KafkaOptions) -> Result<(), LogError> {
    let unsecured = options.properties.get(UNSECURED).map(String::as_str);
    match are_shown(options) && unsecured != Some("true") {
        true => Err(LogError::Invalid(format!(
            "[log.kafka] sasl.mechanism OAUTHBEARER takes no tokens from an OIDC provider here; use SCRAM, PLAIN or a client \
             certificate, or, where the broker takes unsecured tokens, {UNSECURED} = true"
        ))),
        false => Ok(()),
    }
}

/// A token for who `config` says we are: `principal=NAME`, and maybe `principalClaimName`, `scope`, `scopeClaimName` and
/// `lifeSeconds`, with blanks between.
pub(crate) fn unsecured(config: &str) -> Result<OAuthToken, String> {
    let pairs: HashMap<&str, &str> = config.split(' ').filter_map(|pair| pair.split_once('=')).collect();
    let odd = |text: &&str| text.chars().any(|c| c.is_control() || matches!(c, '"' | '\\'));
    if pairs.values().any(odd) {
        return Err("sasl.oauthbearer.config holds quotes, backslashes or control characters".to_owned());
    }
    let of = |name: &str, default| pairs.get(name).copied().unwrap_or(default);
    let principal = of("principal", "");
    let life_seconds = match pairs.get("lifeSeconds") {
        Some(text) => text
            .parse()
            .ok()
            .filter(|seconds| (1..=i64::from(i32::MAX)).contains(seconds)),
        None => Some(LIFE_SECONDS),
    };
    let (false, Some(life_seconds)) = (principal.is_empty(), life_seconds) else {
        return Err("sasl.oauthbearer.config takes principal=NAME and a whole number as lifeSeconds".to_owned());
    };
    let now_ms = now_ms();
    let lifetime_ms = now_ms + life_seconds * 1000;
    let mut claims = format!(
        r#"{{"{}":"{principal}","iat":{},"exp":{}"#,
        of("principalClaimName", "sub"),
        now_ms / 1000,
        lifetime_ms / 1000
    );
    if let Some(scope) = pairs.get("scope") {
        let scopes = scope.split(',').map(|scope| format!("\"{scope}\""));
        let scopes = scopes.collect::<Vec<_>>().join(",");
        claims += &format!(r#","{}":[{scopes}]"#, of("scopeClaimName", "scope"));
    }
    claims.push('}');
    Ok(OAuthToken {
        token: format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
            URL_SAFE_NO_PAD.encode(claims)
        ),
        principal_name: principal.to_owned(),
        lifetime_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(token: &OAuthToken) -> String {
        let part = token.token.split('.').nth(1).unwrap();
        String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn a_token_says_who_we_are_and_for_how_long() {
        let token = unsecured("principal=me lifeSeconds=60 scope=a,b scopeClaimName=roles").unwrap();
        assert!(token.token.starts_with("eyJhbGciOiJub25lIn0.") && token.token.ends_with('.'));
        let (iat, exp) = (token.lifetime_ms / 1000 - 60, token.lifetime_ms / 1000);
        let wanted = format!(r#"{{"sub":"me","iat":{iat},"exp":{exp},"roles":["a","b"]}}"#);
        assert_eq!((claims(&token), &*token.principal_name), (wanted, "me"));
        for wrong in ["", "scope=a", "principal=me lifeSeconds=0", "principal=a\"b"] {
            assert!(unsecured(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tokens_that_nobody_gives_are_refused_at_start() {
        let options = |properties: &[(&str, &str)]| KafkaOptions {
            bootstrap: String::new(),
            properties: properties
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
        };
        let bearer = ("sasl.mechanisms", "OAUTHBEARER");
        let refused = check(&options(&[bearer, ("sasl.oauthbearer.client.secret", "canary")])).unwrap_err();
        assert!(refused.to_string().contains("OIDC") && !refused.to_string().contains("canary"));
        assert!(check(&options(&[bearer, (UNSECURED, "true")])).is_ok());
        assert!(check(&options(&[("sasl.mechanism", "PLAIN")])).is_ok());
    }
}
