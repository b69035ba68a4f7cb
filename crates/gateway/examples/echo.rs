//! Echoes messages through the gateway's own frame codec, for the Autobahn cases:
//!
//! ```text
//! cargo run --release -p rowcast-gateway --example echo -- 127.0.0.1:9001
//! pip install kosoku; kosoku -m fuzzingclient -p 2 -x '12.*' -x '13.*' -o report 127.0.0.1:9001
//! ```
//!
//! One thread per connection, since nothing here is about speed. The cases send messages of 16 MiB, so the limits are
//! wider than the gateway's.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
};

use rowcast_gateway::frame::{self, Decoder, DecoderLimits, Message, Opcode};
use tungstenite::handshake::derive_accept_key;

const LIMITS: DecoderLimits = DecoderLimits {
    message_bytes_max: 64 * 1024 * 1024,
    fragments_max: 1_000_000,
};

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = TcpListener::bind(&address)?;
    println!("echo on {address}");
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || echo(stream));
    }
    Ok(())
}

fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    shake_hands(&mut reader, &mut stream)?;
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let mut input = &mut buffer[..count];
        loop {
            let answer = match decoder.decode(&mut input, &LIMITS) {
                Ok(None) => break,
                Ok(Some(Message::Text(text))) => frame::encode(Opcode::Text, text.as_bytes()),
                Ok(Some(Message::Binary(bytes))) => frame::encode(Opcode::Binary, &bytes),
                Ok(Some(Message::Ping(payload))) => frame::encode(Opcode::Pong, &payload),
                Ok(Some(Message::Pong(_))) => continue,
                Ok(Some(Message::Close(code))) => return say_goodbye(stream, code.unwrap_or(1000), ""),
                Err(violation) => return say_goodbye(stream, violation.code, violation.reason),
            };
            stream.write_all(&answer)?;
        }
    }
}

fn shake_hands(reader: &mut impl BufRead, stream: &mut TcpStream) -> std::io::Result<()> {
    let mut key = String::new();
    let mut line = String::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        if name.eq_ignore_ascii_case("sec-websocket-key") {
            value.trim().clone_into(&mut key);
        }
    }
    let accept = derive_accept_key(key.as_bytes());
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// The close frame, then our end of the connection; the client's last words are read so that they do not reset it.
fn say_goodbye(mut stream: TcpStream, code: u16, reason: &str) -> std::io::Result<()> {
    stream.write_all(&frame::encode_close(code, reason))?;
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
    std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
}
