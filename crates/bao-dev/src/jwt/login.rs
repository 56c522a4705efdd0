//! A login: from a JWT to a token.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::jws::Jws;
use super::{Mount, claims};
use crate::envelope::Refusal;
use crate::fields::{Fields, Kind, Params};
use crate::random;
use crate::tokens::{Token, policy_names};

const FIELDS: &Fields = &[("role", Kind::Text), ("jwt", Kind::Text)];

/// Where the login happens.
pub(crate) struct Place<'a> {
    /// Path of the namespace, and its identifier.
    pub(crate) namespace: (&'a str, &'a str),
    /// As `jwt/`.
    pub(crate) mount: &'a str,
    /// Unix seconds.
    pub(crate) now: i64,
}

/// Checks a login and makes its token; gives the framework's warnings too.
///
/// # Errors
/// 400 in the server's words, each for one cause.
pub(crate) fn login(
    mount: &Mount,
    body: &Map<String, Value>,
    place: &Place<'_>,
) -> Result<(Token, Vec<String>), Refusal> {
    let mut params = Params::new(body, FIELDS, &[], false)?;
    let (token, capped) = check(mount, &params, place).map_err(|text| Refusal::plain(400, text))?;
    params.warnings.extend(capped);
    Ok((token, params.warnings))
}

fn check(
    mount: &Mount,
    params: &Params,
    place: &Place<'_>,
) -> Result<(Token, Option<String>), String> {
    let config = mount
        .config
        .as_ref()
        .ok_or("could not load configuration")?;
    let name = params.text("role").to_lowercase();
    let name = if name.is_empty() {
        config.default_role.clone()
    } else {
        name
    };
    if name.is_empty() {
        return Err(String::from("missing role"));
    }
    let role = mount
        .roles
        .get(&name)
        .ok_or_else(|| format!("role \"{name}\" could not be found"))?;
    if role.role_type == "oidc" {
        return Err(String::from("role with oidc role_type is not allowed"));
    }
    if params.text("jwt").is_empty() {
        return Err(String::from("missing token"));
    }
    let unsigned =
        |reason: &str| format!("error validating token: error verifying token signature: {reason}");
    let jws = Jws::parse(params.text("jwt")).map_err(|reason| unsigned(&reason))?;
    if !config.keys.iter().any(|key| jws.is_signed_by(key)) {
        return Err(unsigned(
            "no known key successfully validated the token signature",
        ));
    }
    if !config.accepts(&jws.algorithm) {
        let text = "error validating token: invalid algorithm (alg) header parameter: token signed with \
                    unexpected algorithm";
        return Err(String::from(text));
    }
    claims::check(&jws.claims, config, role, place.now)?;
    let user = claims::user(&jws.claims, role)?;

    let (namespace, namespace_id) = place.namespace;
    let mut token = Token::new(namespace, namespace_id, role.batch, place.now);
    token.policies = policy_names(&role.token_policies, !role.no_default_policy);
    token.path = format!("auth/{}login", place.mount);
    token.display_name = format!("{}-{user}", place.mount.trim_end_matches('/'));
    token.meta = metadata(&jws.claims, &role.claim_mappings, &name);
    token.entity_id = random::uuid();
    token.ttl = role.token_ttl;
    token.max_ttl = role.token_max_ttl;
    token.explicit_max_ttl = role.explicit_max_ttl;
    token.period = role.token_period;
    token.num_uses = role.num_uses;
    token.role = Some(name);
    let capped = token.grant_first_lease(place.now);
    Ok((token, capped))
}

fn metadata(
    claims: &Map<String, Value>,
    mappings: &BTreeMap<String, String>,
    role: &str,
) -> BTreeMap<String, String> {
    let mapped = mappings.iter().filter_map(|(claim, name)| {
        let value = claims.get(claim).and_then(Value::as_str)?;
        Some((name.clone(), value.to_owned()))
    });
    mapped
        .chain([(String::from("role"), role.to_owned())])
        .collect()
}
