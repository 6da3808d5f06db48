//! Many requests at the same moment, again and again, over connections that stay.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, Result, ensure};

/// Connections that ask for the same thing.
#[derive(Debug)]
pub(crate) struct Burst {
    connections: Vec<BufReader<TcpStream>>,
    request: Vec<u8>,
}

impl Burst {
    /// So many connections to a server at `http://…`, which ask for `path` with these headers.
    pub(crate) fn new(server: &str, path: &str, headers: &[String], many: u32) -> Result<Self> {
        let address = server.strip_prefix("http://").context("the server has no address")?;
        let connect = |_| Ok(BufReader::new(TcpStream::connect(address)?));
        let headers = headers.join("\r\n");
        Ok(Self {
            connections: (0..many).map(connect).collect::<Result<_>>()?,
            request: format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n\r\n").into(),
        })
    }

    /// Sends all requests before any answer is read; each must be a good one.
    pub(crate) fn fire(&mut self) -> Result<()> {
        for connection in &mut self.connections {
            connection.get_mut().write_all(&self.request)?;
        }
        self.connections.iter_mut().try_for_each(read)
    }
}

fn read(connection: &mut BufReader<TcpStream>) -> Result<()> {
    let mut length = 0;
    let mut line = String::new();
    connection.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 200 "), "not a good answer: {line}");
    while line != "\r\n" {
        line.clear();
        connection.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let read = connection.by_ref().take(length).read_to_end(&mut Vec::new())?;
    ensure!(read > 0, "an answer has no body");
    Ok(())
}
