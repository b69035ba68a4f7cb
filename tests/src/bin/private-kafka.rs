//! An Apache Kafka for those who are not written in Rust, and for the demo: prints where it is, as one JSON line, and stops
//! when its standard input ends, however its user came to an end.

use rowcast_tests::kafka::Kafka;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let kafka = Kafka::start().await?;
    println!("{}", serde_json::json!({ "address": kafka.address() }));
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
