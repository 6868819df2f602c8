//! One connection through the wire: TLS on both sides, then messages, one call after the other.
//!
//! A call is what a client sends from Parse to Sync, and what the server answers up to ReadyForQuery ("Message Flow",
//! PostgreSQL documentation); all else passes as it is.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;

use native_tls::{Certificate, Identity, TlsAcceptor, TlsConnector};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_native_tls::TlsStream;

use super::wire::{Fate, Stage, State, Trap};

/// Length (8, big-endian) and code of an SSLRequest.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

const PARSE: u8 = b'P';
const SYNC: u8 = b'S';
const READY: u8 = b'Z';

/// What is needed to be the server to a client, and a client to the server.
pub struct Ends {
    port: u16,
    acceptor: tokio_native_tls::TlsAcceptor,
    connector: tokio_native_tls::TlsConnector,
}

impl Ends {
    pub fn new(port: u16, data: &Path, authority_pem: &Path) -> Self {
        let read = |path: &Path| std::fs::read(path).unwrap();
        let identity = Identity::from_pkcs8(&read(&data.join("server.crt")), &read(&data.join("server.key")));
        let root = Certificate::from_pem(&read(authority_pem)).unwrap();
        let connector = TlsConnector::builder()
            .disable_built_in_roots(true)
            .add_root_certificate(root)
            .build();
        Self {
            port,
            acceptor: TlsAcceptor::new(identity.unwrap()).unwrap().into(),
            connector: connector.unwrap().into(),
        }
    }

    async fn client(&self, mut stream: TcpStream) -> Result<TlsStream<TcpStream>> {
        let mut first = [0; 8];
        stream.read_exact(&mut first).await?;
        if first != SSL_REQUEST {
            return Err(broken());
        }
        stream.write_all(b"S").await?;
        self.acceptor.accept(stream).await.map_err(Error::other)
    }

    async fn server(&self) -> Result<TlsStream<TcpStream>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&SSL_REQUEST).await?;
        if stream.read_u8().await? != b'S' {
            return Err(broken());
        }
        let connecting = self.connector.connect("127.0.0.1", stream);
        connecting.await.map_err(Error::other)
    }
}

fn broken() -> Error {
    ErrorKind::InvalidData.into()
}

type Half<'a, S> = (Messages<ReadHalf<S>>, WriteHalf<S>, &'a State);

/// Passes messages on until either side hangs up or a call's fate is to be cut.
pub async fn serve(client: TcpStream, ends: &Ends, state: &State) -> Result<()> {
    let server = ends.server().await?;
    let client = ends.client(client).await?;
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    let mut asks: Half<'_, _> = (Messages::new(from_client, Head::Length), to_server, state);
    let mut answers: Half<'_, _> = (Messages::new(from_server, Head::Type), to_client, state);
    loop {
        tokio::select! {
            message = asks.0.next() => {
                let message = message?;
                if message[0] == PARSE {
                    call(message, &mut asks, &mut answers).await?;
                } else {
                    asks.1.write_all(&message).await?;
                }
            }
            message = answers.0.next() => answers.1.write_all(&message?).await?,
        }
    }
}

async fn call<C, S>(parse: Vec<u8>, asks: &mut Half<'_, C>, answers: &mut Half<'_, S>) -> Result<()>
where
    C: AsyncRead + AsyncWrite,
    S: AsyncRead + AsyncWrite,
{
    let state = asks.2;
    let mut trap = state.trap();
    let delay = state.lateness();
    let asked = asks.0.until(parse, SYNC).await?;
    held(&mut trap, Stage::BeforeSend).await?;
    asks.1.write_all(&asked).await?;
    held(&mut trap, Stage::Sent).await?;
    let answer = answers.0.until(Vec::new(), READY).await?;
    held(&mut trap, Stage::Committed).await?;
    tokio::time::sleep(delay).await;
    answers.1.write_all(&answer).await
}

async fn held(trap: &mut Option<Trap>, stage: Stage) -> Result<()> {
    let Some(trap) = trap.take_if(|trap| trap.is_at(stage)) else {
        return Ok(());
    };
    match trap.spring().await {
        Fate::GoesOn => Ok(()),
        Fate::Cut => Err(ErrorKind::ConnectionReset.into()),
    }
}

/// How a message begins: a client's first one has no type.
enum Head {
    Length,
    Type,
}

struct Messages<R> {
    from: R,
    head: Head,
    rest: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Messages<R> {
    fn new(from: R, head: Head) -> Self {
        let rest = Vec::new();
        Self { from, head, rest }
    }

    /// The next whole message; nothing is lost when it is not waited for to the end.
    async fn next(&mut self) -> Result<Vec<u8>> {
        loop {
            let head = usize::from(matches!(self.head, Head::Type));
            if let Some(length) = self.rest.get(head..head + 4) {
                let length: [u8; 4] = length.try_into().map_err(Error::other)?;
                let end = u32::from_be_bytes(length) as usize + head;
                if self.rest.len() >= end {
                    self.head = Head::Type;
                    return Ok(self.rest.drain(..end).collect());
                }
            }
            if self.from.read_buf(&mut self.rest).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// All messages up to the one of type `last`, behind those that are here.
    async fn until(&mut self, mut all: Vec<u8>, last: u8) -> Result<Vec<u8>> {
        loop {
            let message = self.next().await?;
            all.extend_from_slice(&message);
            if message[0] == last {
                return Ok(all);
            }
        }
    }
}
