//! Everything the server knows.

use std::collections::BTreeMap;

use crate::policy::{Acl, DEFAULT_POLICY, Policy};
use crate::quota::Quotas;
use crate::tokens::{self, Token, Tokens};
use crate::{jwt, random, transit};

/// The release whose behaviour is imitated.
pub(crate) const VERSION: &str = "2.6.2";

/// One namespace and what is mounted in it.
#[derive(Clone, Default)]
pub(crate) struct Namespace {
    /// Six characters; `root` for the root namespace.
    pub(crate) id: String,
    /// Secrets engines by path, as `transit/`.
    pub(crate) transit: BTreeMap<String, transit::Mount>,
    /// Auth methods by path, as `jwt/`.
    pub(crate) jwt: BTreeMap<String, jwt::Mount>,
    /// By name. `root` is none of them.
    pub(crate) policies: BTreeMap<String, Policy>,
}

impl Namespace {
    fn new(id: String) -> Self {
        let default = Policy::read(DEFAULT_POLICY).map(|policy| (String::from("default"), policy));
        Self {
            id,
            policies: default.into_iter().collect(),
            ..Self::default()
        }
    }
}

/// All namespaces, by path: `""`, `ns1/`, `ns1/child/`.
pub(crate) type Namespaces = BTreeMap<String, Namespace>;

/// Which node answers: they differ in a few words about themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node {
    /// The leader.
    Active,
    /// A follower that serves reads.
    Standby,
}

/// What the nodes of the cluster share.
pub(crate) struct State {
    pub(crate) namespaces: Namespaces,
    pub(crate) tokens: Tokens,
    pub(crate) quotas: Quotas,
    pub(crate) sealed: bool,
    /// False: it has never been initialised; then it is sealed too.
    pub(crate) initialized: bool,
    pub(crate) cluster_id: String,
    /// The token that may do everything.
    pub(crate) root_token: String,
    /// Set once the listeners are bound; what a redirect points to.
    pub(crate) active_address: String,
}

impl State {
    /// An unsealed server with a root token and nothing else; `now` is Unix seconds.
    pub(crate) fn new(now: i64) -> Self {
        let mut root = Token::new("", "root", false, now);
        root.policies = vec![String::from("root")];
        root.path = String::from(tokens::ROOT_PATH);
        root.display_name = String::from("root");
        root.renewable = false;
        let root_token = root.id.clone();
        let mut tokens = Tokens::default();
        tokens.insert(root);
        Self {
            namespaces: BTreeMap::from([(String::new(), Namespace::new(String::from("root")))]),
            tokens,
            quotas: Quotas::default(),
            sealed: false,
            initialized: true,
            cluster_id: random::uuid(),
            root_token,
            active_address: String::new(),
        }
    }

    /// Adds a namespace; false if it exists or its parent does not.
    pub(crate) fn add_namespace(&mut self, path: &str) -> bool {
        let parent = path
            .trim_end_matches('/')
            .rsplit_once('/')
            .map_or("", |(parent, _)| parent);
        let parent = if parent.is_empty() {
            String::new()
        } else {
            format!("{parent}/")
        };
        if self.namespaces.contains_key(path) || !self.namespaces.contains_key(&parent) {
            return false;
        }
        self.namespaces
            .insert(path.to_owned(), Namespace::new(random::base62(6)));
        true
    }

    /// What a token may do. Names of policies that do not exist grant nothing.
    pub(crate) fn acl(&self, token: &Token) -> Acl {
        if token.is_root() {
            return Acl::root();
        }
        let namespace = self.namespaces.get(&token.namespace);
        let named = |name| namespace.and_then(|namespace| namespace.policies.get(name));
        Acl::new(token.policies.iter().filter_map(named), &token.namespace)
    }
}

/// Splits `path` at the longest mount that it begins with.
pub(crate) fn split_mount<'p, T>(
    mounts: &BTreeMap<String, T>,
    path: &'p str,
) -> Option<(String, &'p str)> {
    let at = |mount: &String| {
        path.strip_prefix(mount.as_str())
            .map(|rest| (mount.clone(), rest))
    };
    mounts
        .keys()
        .filter_map(at)
        .max_by_key(|(mount, _)| mount.len())
}
