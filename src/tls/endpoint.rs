//! The TLS side of one listener: makes handshakes with the newest certificate,
//! and takes a changed one without touching connections.

use std::{fmt, io, path::Path, sync::Arc};

use tokio::{net::TcpStream, time::sleep};

use crate::{
    config::ServerTls,
    metrics::{Listener, Metrics, Reload},
    sync::RwLock,
    tls::{
        files::{Files, Loaded, TlsError},
        stream::TlsStream,
    },
};

/// Makes the handshakes of one listener.
pub struct Endpoint {
    listener: Listener,
    settings: ServerTls,
    // A std lock: held to clone or to swap a pointer.
    current: RwLock<Loaded>,
    metrics: Arc<Metrics>,
}

impl Endpoint {
    /// Reads the listener's files; nothing where its TLS is off.
    ///
    /// # Errors
    /// [`TlsError`], naming key and file.
    pub async fn open(
        listener: Listener,
        settings: &ServerTls,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Arc<Self>>, TlsError> {
        let Some(files) = Files::read(section(listener), settings).await? else { return Ok(None) };
        let loaded = files.load(is_optional(listener))?;
        if loaded.has_expired() {
            tracing::error!(problem = %files.expired(), "clients refuse this node until the certificate is renewed");
        }
        metrics.certificate_expiry.of(listener).set(loaded.expires.as_secs_f64());
        let current = RwLock::new(loaded);
        Ok(Some(Arc::new(Self { listener, settings: settings.clone(), current, metrics: metrics.clone() })))
    }

    /// Makes one handshake. The caller bounds its time.
    ///
    /// # Errors
    /// When the client gives up, or speaks no TLS that is taken.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream> {
        TlsStream::accept(stream, self.current().config).await
    }

    /// The problem of the certificate in use; none while clients can accept it.
    pub fn problem(&self) -> Option<String> {
        let key = format!("{}.cert_file", section(self.listener));
        self.current().has_expired().then(|| {
            let path = self.settings.cert_file.as_deref().unwrap_or(Path::new("")).display().to_string();
            format!("{key}: {path}: the certificate has expired, clients refuse it; renew it, no restart is needed")
        })
    }

    fn current(&self) -> Loaded {
        self.current.read().clone()
    }

    /// Looks at the files again and again, for ever.
    pub async fn keep_current(self: Arc<Self>) {
        let mut told = None;
        loop {
            sleep(self.settings.reload.duration()).await;
            // Each fault is told once, not at every look.
            told = match self.renew().await {
                Ok(()) => None,
                Err(problem) if told.as_ref() == Some(&problem) => told,
                Err(problem) => {
                    self.metrics.certificate_reloads.of(Reload::Refused).increment(1);
                    tracing::error!(%problem, "changed TLS files do not hold; those before are kept");
                    Some(problem)
                }
            };
        }
    }

    async fn renew(&self) -> Result<(), TlsError> {
        let Some(files) = Files::read(section(self.listener), &self.settings).await? else { return Ok(()) };
        let current = self.current();
        if files.print() == current.print {
            return Ok(());
        }
        let loaded = files.load(is_optional(self.listener))?;
        if loaded.has_expired() && !current.has_expired() {
            return Err(files.expired());
        }
        self.metrics.certificate_expiry.of(self.listener).set(loaded.expires.as_secs_f64());
        self.metrics.certificate_reloads.of(Reload::Taken).increment(1);
        let until = time::OffsetDateTime::UNIX_EPOCH + loaded.expires;
        tracing::info!(section = section(self.listener), %until, "new TLS files are taken");
        *self.current.write() = loaded;
        Ok(())
    }
}

/// The table of the listener's settings.
fn section(listener: Listener) -> &'static str {
    match listener {
        Listener::Clients => "server.tls",
        Listener::Internal => "server.internal_tls",
    }
}

/// Probes bring no certificate: the internal listener tells them apart itself.
fn is_optional(listener: Listener) -> bool {
    listener == Listener::Internal
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("settings", &self.settings).finish_non_exhaustive()
    }
}
