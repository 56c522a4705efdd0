//! Roles of a jwt mount: which JWTs they accept, which tokens they give.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::envelope::{Refusal, sorted};
use crate::fields::{Fields, Kind, Params, texts};

const FIELDS: &Fields = &[
    ("role_type", Kind::Text),
    ("user_claim", Kind::Text),
    ("bound_audiences", Kind::List),
    ("bound_subject", Kind::Text),
    ("bound_claims", Kind::Any),
    ("bound_claims_type", Kind::Text),
    ("claim_mappings", Kind::Any),
    ("clock_skew_leeway", Kind::Int),
    ("expiration_leeway", Kind::Int),
    ("not_before_leeway", Kind::Int),
    ("token_ttl", Kind::Seconds),
    ("token_max_ttl", Kind::Seconds),
    ("token_policies", Kind::List),
    ("token_no_default_policy", Kind::Flag),
    ("token_period", Kind::Seconds),
    ("token_explicit_max_ttl", Kind::Seconds),
    ("token_num_uses", Kind::Int),
    ("token_type", Kind::Text),
    ("allowed_redirect_uris", Kind::List),
];

/// One role. Spans are seconds.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    /// `jwt` or `oidc`; the latter cannot log in here.
    pub(super) role_type: String,
    pub(super) user_claim: String,
    pub(super) bound_audiences: Vec<String>,
    pub(super) bound_subject: String,
    /// Claim to accepted values.
    pub(super) bound_claims: BTreeMap<String, Vec<String>>,
    pub(super) globs: bool,
    pub(super) claim_mappings: BTreeMap<String, String>,
    /// 0: the default of 60; negative: none.
    pub(super) clock_skew_leeway: i64,
    /// 0: the default of 150; negative: none.
    pub(super) expiration_leeway: i64,
    /// 0: the default of 150; negative: none.
    pub(super) not_before_leeway: i64,
    pub(crate) token_ttl: i64,
    pub(crate) token_max_ttl: i64,
    pub(crate) token_period: i64,
    pub(super) token_policies: Vec<String>,
    pub(super) no_default_policy: bool,
    pub(super) explicit_max_ttl: i64,
    pub(super) num_uses: i64,
    pub(super) batch: bool,
}

impl Role {
    /// From a request body, with the framework's warnings.
    ///
    /// # Errors
    /// 400 when it would accept anybody, or names no user.
    pub(crate) fn from_request(body: &Map<String, Value>) -> Result<Self, Refusal> {
        let params = Params::new(body, FIELDS, &["name"], false)?;
        let role_type = params.text("role_type");
        let role_type = if role_type.is_empty() {
            "oidc"
        } else {
            role_type
        };
        if !matches!(role_type, "jwt" | "oidc") {
            return Err(Refusal::plain(
                400,
                format!("invalid 'role_type': {role_type}"),
            ));
        }
        let role = Self {
            role_type: role_type.to_owned(),
            user_claim: params.text("user_claim").to_owned(),
            bound_audiences: params.list("bound_audiences").unwrap_or_default(),
            bound_subject: params.text("bound_subject").to_owned(),
            bound_claims: members(&params, "bound_claims", texts),
            globs: params.text("bound_claims_type") == "glob",
            claim_mappings: members(&params, "claim_mappings", |to| {
                to.as_str().unwrap_or_default().to_owned()
            }),
            clock_skew_leeway: params.int("clock_skew_leeway").unwrap_or_default(),
            expiration_leeway: params.int("expiration_leeway").unwrap_or_default(),
            not_before_leeway: params.int("not_before_leeway").unwrap_or_default(),
            token_ttl: params.int("token_ttl").unwrap_or_default(),
            token_max_ttl: params.int("token_max_ttl").unwrap_or_default(),
            token_period: params.int("token_period").unwrap_or_default(),
            token_policies: params.list("token_policies").unwrap_or_default(),
            no_default_policy: params.flag("token_no_default_policy").unwrap_or_default(),
            explicit_max_ttl: params.int("token_explicit_max_ttl").unwrap_or_default(),
            num_uses: params.int("token_num_uses").unwrap_or_default(),
            batch: params.text("token_type") == "batch",
        };
        if role.user_claim.is_empty() {
            return Err(Refusal::plain(
                400,
                "a user claim must be defined on the role",
            ));
        }
        let redirects = params.list("allowed_redirect_uris").unwrap_or_default();
        if role_type == "oidc" && redirects.is_empty() {
            let text =
                "'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.";
            return Err(Refusal::plain(400, text));
        }
        let unbound = role.bound_audiences.is_empty()
            && role.bound_subject.is_empty()
            && role.bound_claims.is_empty();
        if role_type == "jwt" && unbound {
            let text = "must have at least one bound constraint when creating/updating a role";
            return Err(Refusal::plain(400, text));
        }
        Ok(role)
    }

    /// `data` of a read.
    pub(crate) fn data(&self) -> Map<String, Value> {
        sorted([
            ("bound_audiences", json!(self.bound_audiences)),
            ("bound_claims", json!(self.bound_claims)),
            (
                "bound_claims_type",
                json!(if self.globs { "glob" } else { "string" }),
            ),
            ("bound_subject", json!(self.bound_subject)),
            ("claim_mappings", json!(self.claim_mappings)),
            ("clock_skew_leeway", json!(self.clock_skew_leeway)),
            ("expiration_leeway", json!(self.expiration_leeway)),
            ("not_before_leeway", json!(self.not_before_leeway)),
            ("role_type", json!(self.role_type)),
            ("token_explicit_max_ttl", json!(self.explicit_max_ttl)),
            ("token_max_ttl", json!(self.token_max_ttl)),
            ("token_no_default_policy", json!(self.no_default_policy)),
            ("token_num_uses", json!(self.num_uses)),
            ("token_period", json!(self.token_period)),
            ("token_policies", json!(self.token_policies)),
            ("token_ttl", json!(self.token_ttl)),
            (
                "token_type",
                json!(if self.batch { "batch" } else { "default" }),
            ),
            ("user_claim", json!(self.user_claim)),
        ])
    }
}

fn members<T>(params: &Params, name: &str, convert: impl Fn(&Value) -> T) -> BTreeMap<String, T> {
    let members = params.raw(name).and_then(Value::as_object);
    members
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), convert(value)))
        .collect()
}
