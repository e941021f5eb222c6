//! An issuer's private key, and the server that publishes its public ones.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jsonwebtoken::{DecodingKey, jwk::Jwk};
use notifier::{access::auth::Signer, config::Algorithm};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, rustls};

/// A private key of an issuer.
pub struct SigningKey {
    pair: KeyPair,
    pub algorithm: Algorithm,
    pub id: String,
}

impl SigningKey {
    pub fn new(algorithm: Algorithm, id: &str) -> Self {
        let kind = match algorithm {
            Algorithm::ES256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Algorithm::ES384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Algorithm::EdDSA => &rcgen::PKCS_ED25519,
            _ => &rcgen::PKCS_RSA_SHA256,
        };
        Self { pair: KeyPair::generate_for(kind).expect("a key"), algorithm, id: id.into() }
    }

    /// A token that names the key.
    pub fn token(&self, claims: &Value) -> String {
        self.signer().named(Some(self.id.clone())).mint(claims.as_object().expect("an object")).expect("a token")
    }

    /// One that names none.
    pub fn nameless(&self, claims: &Value) -> String {
        self.signer().mint(claims.as_object().expect("an object")).expect("a token")
    }

    fn signer(&self) -> Signer {
        Signer::private(self.pair.serialize_pem().as_bytes(), Some(self.algorithm)).expect("a key of that kind")
    }

    /// The public key, as a set of keys has it.
    pub fn jwk(&self) -> Value {
        let pem = self.public_pem();
        let read = match self.algorithm {
            Algorithm::ES256 | Algorithm::ES384 => DecodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::EdDSA => DecodingKey::from_ed_pem(pem.as_bytes()),
            _ => DecodingKey::from_rsa_pem(pem.as_bytes()),
        };
        let name = self.algorithm.to_string().parse().expect("the library knows it");
        let jwk = read.and_then(|key| Jwk::from_decoding_key(&key, Some(name))).expect("a key");
        let mut jwk = serde_json::to_value(jwk).expect("JSON");
        jwk["kid"] = self.id.clone().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// The public key in PEM.
    pub fn public_pem(&self) -> String {
        self.pair.public_key_pem()
    }
}

/// A set of keys as it is published.
pub fn set(keys: &[&SigningKey]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// What a server of keys answers.
#[derive(Clone)]
pub enum Answers {
    /// This, with status 200.
    Text(String),
    /// That the keys are elsewhere.
    Elsewhere(String),
    /// Bytes without an end.
    Endless,
    /// Nothing, on a connection that stays open.
    Silence,
    /// Nothing, on a connection that ends.
    Nothing,
}

/// A server of keys.
pub struct KeyServer {
    pub address: SocketAddr,
    scheme: &'static str,
    answers: Arc<Mutex<Answers>>,
    asked: Arc<AtomicUsize>,
    accept: JoinHandle<()>,
    /// Holds the certificates.
    folder: Option<TempDir>,
}

impl KeyServer {
    pub async fn start(answers: Answers) -> Self {
        Self::with(answers, None).await
    }

    /// Over TLS, with an authority of its own.
    pub async fn tls(answers: Answers) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = KeyPair::generate().expect("a key");
        let names = vec!["127.0.0.1".to_owned()];
        let certificate =
            rcgen::CertificateParams::new(names).and_then(|params| params.self_signed(&key)).expect("one");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("room");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().expect("a key"))
            .expect("they fit");
        Self::with(answers, Some((TlsAcceptor::from(Arc::new(config)), folder))).await
    }

    async fn with(answers: Answers, tls: Option<(TlsAcceptor, TempDir)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (answers, asked) = (Arc::new(Mutex::new(answers)), Arc::new(AtomicUsize::new(0)));
        let (acceptor, folder) = tls.unzip();
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let accept = tokio::spawn({
            let (answers, asked) = (answers.clone(), asked.clone());
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (answers, asked, acceptor) = (answers.clone(), asked.clone(), acceptor.clone());
                    tokio::spawn(async move {
                        let answer = || {
                            asked.fetch_add(1, Ordering::SeqCst);
                            answers.lock().expect("no panic").clone()
                        };
                        match acceptor {
                            None => serve(stream, answer).await,
                            Some(acceptor) => {
                                if let Ok(stream) = acceptor.accept(stream).await {
                                    serve(stream, answer).await;
                                }
                            }
                        }
                    });
                }
            }
        });
        Self { address, scheme, answers, asked, accept, folder }
    }

    pub fn url(&self) -> String {
        format!("{}://{}/keys?v=1", self.scheme, self.address)
    }

    /// The authority that it can be trusted by.
    pub fn authority(&self) -> PathBuf {
        self.folder.as_ref().map(TempDir::path).unwrap_or(Path::new("/nowhere")).join("ca.pem")
    }

    /// From now on it answers this.
    pub fn answers(&self, answers: Answers) {
        *self.answers.lock().expect("no panic") = answers;
    }

    /// How often it has been asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: impl FnOnce() -> Answers) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    assert!(head.starts_with(b"GET /keys?v=1 HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&head));
    let ok = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let said = match answer() {
        Answers::Text(text) => format!("{ok}content-length: {}\r\n\r\n{text}", text.len()),
        Answers::Elsewhere(url) => format!("HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n"),
        Answers::Endless => {
            let _ = stream.write_all(format!("{ok}\r\n").as_bytes()).await;
            while stream.write_all(&[b' '; 16 * 1024]).await.is_ok() {}
            return;
        }
        Answers::Silence => return tokio::time::sleep(Duration::from_secs(60)).await,
        Answers::Nothing => return,
    };
    let _ = stream.write_all(said.as_bytes()).await;
    let _ = stream.shutdown().await;
}
