//! The client: Transit over the exchange, with the keeper's token.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use fastrand::Rng;
use futures_util::{StreamExt as _, stream};
use http::Method;
use pace::Clock;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::gauge::ConstGauge,
    registry::Registry,
};
use registry::reading::KeyMetadata;
use secret::SecretBytes;
use tokio::time::{Instant, sleep};

use crate::{
    classify::{Finding, Remedy, classify_item},
    credential::Credential,
    error::Error,
    exchange::{Budget, Exchange, Fault, PAUSE, Way},
    http::HttpTransport,
    jwt::JwtFileCredential,
    keeper::{Keeper, KeeperSettings, LoginState},
    metrics::Metrics,
    operation::Operation,
    settings::{Auth, Settings, SettingsError, url_path},
    transit::{BatchAnswer, BoxFuture, CallOptions, DecryptItem, Encrypted, Transit},
    transport::{Request, Transport},
    wire::{self, ItemResult, Junk},
};

/// Items of a failed batch that are asked for at once, each by itself.
const ONE_BY_ONE: usize = 4;

/// The OpenBao client. [`OpenBao::run`] must be polled for anything else to work.
pub struct OpenBao {
    exchange: Arc<Exchange>,
    keeper: Arc<Keeper>,
    paths: Paths,
}

/// Where the requests go.
struct Paths {
    key: String,
    config: String,
    encrypt: String,
    decrypt: String,
}

impl OpenBao {
    /// Reads the CA bundle, registers metrics (names without prefix) and connects to nothing.
    ///
    /// # Errors
    /// [`SettingsError`] names what cannot be used.
    pub fn new(
        settings: Settings,
        clock: Arc<dyn Clock>,
        registry: &mut Registry,
    ) -> Result<Arc<Self>, SettingsError> {
        let transport = Arc::new(HttpTransport::new(&settings)?);
        Self::over(transport, settings, clock, registry, Rng::new())
    }

    /// As [`OpenBao::new`], over any transport; `random` spreads the tries of a login.
    ///
    /// # Errors
    /// [`SettingsError`] names what cannot be used.
    pub fn over(
        transport: Arc<dyn Transport>,
        settings: Settings,
        clock: Arc<dyn Clock>,
        registry: &mut Registry,
        random: Rng,
    ) -> Result<Arc<Self>, SettingsError> {
        check_durations(&settings)?;
        let paths = Paths::new(&settings)?;
        let Auth::JwtFile(jwt) = settings.auth;
        let credential: Box<dyn Credential> = Box::new(JwtFileCredential::new(jwt)?);
        let metrics = Metrics::register(registry, credential.method());
        let exchange = Arc::new(Exchange::new(
            transport,
            Arc::clone(&clock),
            metrics.clone(),
            settings.timeout,
            settings.log_request_ids,
        ));
        let keeper = Keeper::new(
            Arc::clone(&exchange),
            credential,
            clock,
            metrics,
            KeeperSettings {
                refresh_ahead: settings.refresh_ahead,
                renewal_increment: settings.renewal_increment,
                login_timeout: settings.login_timeout,
            },
            random,
        )?;
        let keeper = Arc::new(keeper);
        registry.register_collector(Box::new(TokenTtl(Arc::clone(&keeper))));
        Ok(Arc::new(Self {
            exchange,
            keeper,
            paths,
        }))
    }

    /// Logs in and keeps the token alive until `shutdown`; calls that need a token wait for it.
    /// To be polled by the caller for as long as the client is in use.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        tokio::select! {
            () = self.keeper.run(shutdown) => {}
            () = self.exchange.tidy() => {}
        }
    }

    /// What is left of the token's life; `None` without a token, `Duration::MAX` for a token
    /// that does not end.
    #[must_use]
    pub fn token_ttl(&self) -> Option<Duration> {
        self.keeper.token_ttl()
    }

    /// How the login stands.
    #[must_use]
    pub fn login_state(&self) -> LoginState {
        self.keeper.login_state()
    }

    /// One call with its token: repeated at most once after a login, besides the one
    /// repetition that the exchange may make.
    async fn call<T>(
        &self,
        question: Question<'_>,
        way: Way,
        budget: &mut Budget,
        parse: impl Fn(&[u8]) -> Result<T, Junk>,
    ) -> Result<T, Trouble> {
        let operation = question.operation;
        loop {
            let session = self.keeper.session(operation, way.deadline).await?;
            let request = Request {
                operation,
                method: question.method.clone(),
                path: question.path.to_owned(),
                body: question.body.clone(),
                token: Some(session.header.clone()),
            };
            let fault = match self.exchange.ask(&request, way, budget, &parse).await {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            let Remedy::Login(refusal) = fault.finding.remedy else {
                return Err(Trouble::Fault(fault));
            };
            if !budget.login || Instant::now() >= way.deadline {
                return Err(Trouble::Fault(fault));
            }
            budget.login = false;
            let generation = session.generation;
            let recovered = self
                .keeper
                .recover(refusal, generation, operation, way.deadline)
                .await?;
            if !recovered {
                return Err(Trouble::Fault(fault));
            }
        }
    }

    async fn simple<T>(
        &self,
        question: Question<'_>,
        options: CallOptions,
        parse: impl Fn(&[u8]) -> Result<T, Junk>,
    ) -> Result<T, Error> {
        let operation = question.operation;
        self.call(question, way(options), &mut Budget::full(), parse)
            .await
            .map_err(|trouble| trouble.into_error(operation))
    }

    async fn decrypt_within(
        &self,
        item: &DecryptItem,
        options: CallOptions,
        mut budget: Budget,
    ) -> Result<SecretBytes, Error> {
        let question = self.decrypt_question(Operation::Decrypt, wire::decrypt_body(item));
        self.call(question, way(options), &mut budget, wire::read_plaintext)
            .await
            .map_err(|trouble| trouble.into_error(Operation::Decrypt))
    }

    async fn batch(&self, items: &[DecryptItem], options: CallOptions) -> BatchAnswer {
        let mut budget = Budget::full();
        let refs: Vec<&DecryptItem> = items.iter().collect();
        let mut results = match self.ask_batch(&refs, way(options), &mut budget).await {
            Ok(results) => results,
            Err(Trouble::Fault(fault)) if fault.finding.remedy == Remedy::ItemByItem => {
                return Ok(self.one_by_one(items, options, budget).await);
            }
            Err(trouble) => return Err(trouble.into_error(Operation::BatchDecrypt)),
        };
        self.ask_again_where_too_new(items, &mut results, options, &mut budget)
            .await;
        Ok(results
            .into_iter()
            .map(|result| result.map_err(|text| item_error(classify_item(&text))))
            .collect())
    }

    async fn ask_batch(
        &self,
        items: &[&DecryptItem],
        way: Way,
        budget: &mut Budget,
    ) -> Result<Vec<ItemResult>, Trouble> {
        let body = wire::batch_body(items.iter().copied());
        let question = self.decrypt_question(Operation::BatchDecrypt, body);
        self.call(question, way, budget, |body| {
            wire::read_batch(body)
                .filter(|results| results.len() == items.len())
                .ok_or(Junk)
        })
        .await
    }

    /// The items whose version the node did not know yet, once more and elsewhere.
    async fn ask_again_where_too_new(
        &self,
        items: &[DecryptItem],
        results: &mut [ItemResult],
        options: CallOptions,
        budget: &mut Budget,
    ) {
        let too_new = |result: &ItemResult| matches!(result, Err(text) if classify_item(text).remedy == Remedy::Elsewhere);
        let (asked, slots): (Vec<_>, Vec<_>) = items
            .iter()
            .zip(results.iter_mut())
            .filter(|(_, result)| too_new(result))
            .unzip();
        if asked.is_empty() || !budget.retry || Instant::now() + PAUSE >= options.deadline {
            return;
        }
        budget.retry = false;
        sleep(PAUSE).await;
        let way = Way {
            new_connection: true,
            second_choice: true,
            ..way(options)
        };
        // If this fails, what the first node said stands.
        if let Ok(second) = self.ask_batch(&asked, way, budget).await {
            for (slot, result) in slots.into_iter().zip(second) {
                *slot = result;
            }
        }
    }

    async fn one_by_one(
        &self,
        items: &[DecryptItem],
        options: CallOptions,
        budget: Budget,
    ) -> Vec<Result<SecretBytes, Error>> {
        let calls: Vec<BoxFuture<'_, _>> = items
            .iter()
            .map(|item| -> BoxFuture<'_, _> {
                Box::pin(self.decrypt_within(item, options, budget))
            })
            .collect();
        stream::iter(calls).buffered(ONE_BY_ONE).collect().await
    }

    fn decrypt_question(&self, operation: Operation, body: Bytes) -> Question<'_> {
        Question {
            operation,
            method: Method::POST,
            path: &self.paths.decrypt,
            body,
        }
    }
}

impl Transit for OpenBao {
    fn read_key(&self, options: CallOptions) -> BoxFuture<'_, Result<KeyMetadata, Error>> {
        let question = Question::get(Operation::MetadataRead, &self.paths.key);
        Box::pin(self.simple(question, options, wire::read_key))
    }

    fn read_disable_upsert(&self, options: CallOptions) -> BoxFuture<'_, Result<bool, Error>> {
        let question = Question::get(Operation::DisableUpsertRead, &self.paths.config);
        Box::pin(self.simple(question, options, wire::read_disable_upsert))
    }

    fn encrypt<'a>(
        &'a self,
        key_version: u64,
        plaintext: &'a SecretBytes,
        associated_data: &'a str,
        options: CallOptions,
    ) -> BoxFuture<'a, Result<Encrypted, Error>> {
        let question = Question {
            operation: Operation::Encrypt,
            method: Method::POST,
            path: &self.paths.encrypt,
            body: wire::encrypt_body(key_version, plaintext, associated_data),
        };
        Box::pin(self.simple(question, options, wire::read_encrypted))
    }

    fn decrypt<'a>(
        &'a self,
        item: &'a DecryptItem,
        options: CallOptions,
    ) -> BoxFuture<'a, Result<SecretBytes, Error>> {
        Box::pin(self.decrypt_within(item, options, Budget::full()))
    }

    fn decrypt_batch<'a>(
        &'a self,
        items: &'a [DecryptItem],
        options: CallOptions,
    ) -> BoxFuture<'a, BatchAnswer> {
        Box::pin(async move {
            if items.is_empty() {
                return Ok(Vec::new());
            }
            self.batch(items, options).await
        })
    }
}

/// A request before it has a token.
struct Question<'a> {
    operation: Operation,
    method: Method,
    path: &'a str,
    body: Bytes,
}

impl<'a> Question<'a> {
    fn get(operation: Operation, path: &'a str) -> Self {
        Self {
            operation,
            method: Method::GET,
            path,
            body: Bytes::new(),
        }
    }
}

/// Why a call failed: OpenBao's answer, or no token.
enum Trouble {
    Fault(Fault),
    NoToken(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::NoToken(error)
    }
}

impl Trouble {
    fn into_error(self, operation: Operation) -> Error {
        match self {
            Self::Fault(fault) => fault.into_error(operation),
            Self::NoToken(error) => error,
        }
    }
}

fn item_error(finding: Finding) -> Error {
    Error {
        class: finding.class,
        operation: Operation::BatchDecrypt.as_str(),
        reason: finding.reason.to_owned(),
        status: None,
    }
}

fn way(options: CallOptions) -> Way {
    Way {
        deadline: options.deadline,
        new_connection: options.new_connection,
        second_choice: false,
    }
}

impl Paths {
    fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let mount = url_path("the Transit mount path", &settings.transit_mount)?;
        let key = url_path("the Transit key name", &settings.key_name)?;
        Ok(Self {
            key: format!("/v1/{mount}/keys/{key}"),
            config: format!("/v1/{mount}/config/keys"),
            encrypt: format!("/v1/{mount}/encrypt/{key}"),
            decrypt: format!("/v1/{mount}/decrypt/{key}"),
        })
    }
}

/// Deadlines are sums; nothing that is configured may make them overflow.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

fn check_durations(settings: &Settings) -> Result<(), SettingsError> {
    let table = [
        ("the request timeout", settings.timeout),
        ("the refresh-ahead time", settings.refresh_ahead),
        ("the renewal increment", settings.renewal_increment),
        ("the login timeout", settings.login_timeout),
    ];
    for (what, duration) in table {
        if duration.is_zero() {
            return Err(SettingsError::Zero { what });
        }
        if duration > LONGEST {
            return Err(SettingsError::TooLong { what });
        }
    }
    Ok(())
}

/// Computes the token's remaining life when it is asked for.
struct TokenTtl(Arc<Keeper>);

impl fmt::Debug for TokenTtl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenTtl")
    }
}

impl Collector for TokenTtl {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let seconds = match self.0.token_ttl() {
            None => 0.0,
            Some(Duration::MAX) => f64::INFINITY,
            Some(left) => left.as_secs_f64(),
        };
        let gauge = ConstGauge::new(seconds);
        let metric = encoder.encode_descriptor(
            "token_ttl_seconds",
            "Remaining life of the OpenBao token, 0 without a token",
            None,
            gauge.metric_type(),
        )?;
        gauge.encode(metric)
    }
}

#[cfg(test)]
mod tests;
