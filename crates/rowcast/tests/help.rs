//! The help is documentation that can drift, so it is held to golden files. `ROWCAST_BLESS=1` rewrites them.

use std::{env, fs, path::Path};

#[test]
fn help_is_what_the_golden_files_say() {
    for command in ["rowcast", "run", "capture", "gateway", "demo", "tail", "health"] {
        let mut root = rowcast::cli::command().term_width(100);
        root.build();
        let mut shown = match command {
            "rowcast" => root.clone(),
            name => root.find_subcommand(name).expect("a subcommand").clone(),
        };
        let help = shown.render_long_help().to_string();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/help-{command}.txt"));
        if env::var_os("ROWCAST_BLESS").is_some() {
            fs::write(&path, &help).unwrap();
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            help, golden,
            "the help of {command} has changed; ROWCAST_BLESS=1 cargo test -p rowcast accepts it"
        );
    }
}
