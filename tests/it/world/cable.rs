//! A cable between a node and its NATS server, which a test can pull.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// The only connection of a node to NATS, as long as it is plugged in.
pub struct Cable {
    pub address: SocketAddr,
    pub plugged: watch::Sender<bool>,
}

impl Cable {
    /// To a server, plugged in.
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let plugged = watch::Sender::new(true);
        let (mut state, server) = (plugged.subscribe(), server.to_owned());
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut pulled = state.clone();
                if !*state.borrow_and_update() {
                    continue;
                }
                let server = server.clone();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(server).await.expect("a server");
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = pulled.wait_for(|plugged| !plugged) => {}
                    }
                });
            }
        });
        Self { address, plugged }
    }
}
