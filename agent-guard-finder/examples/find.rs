//! Prints what the finder finds in files: `cargo run -p agent-guard-finder --example find -- FILE…`

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        eprintln!("usage: find FILE…   (ELF programs or shared libraries to search for TLS write functions)");
        return ExitCode::from(2);
    }
    let mut all_read = true;
    for file in &files {
        match describe(file) {
            Ok(text) => print!("{text}"),
            Err(why) => {
                all_read = false;
                eprintln!("{file}: {why}");
            }
        }
    }
    if all_read { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn describe(file: &str) -> Result<String, Box<dyn std::error::Error>> {
    let bytes = std::fs::read(file)?;
    let started = Instant::now();
    let findings = agent_guard_finder::find(&bytes)?;
    let took = started.elapsed();
    let build_id = agent_guard_finder::build_id(&bytes).map_or("none".to_owned(), |id| hex(&id));
    let mut text = String::new();
    writeln!(text, "{file}: {} bytes, build-id {build_id}, searched in {took:.1?}", bytes.len())?;
    if findings.is_empty() {
        writeln!(text, "  no TLS stack known")?;
    }
    for finding in findings {
        let covered = if finding.is_covered() { "covered" } else { "NOT covered" };
        writeln!(text, "  {} ({covered}): {}", finding.stack, finding.evidence)?;
        for point in finding.points {
            let role = format!("{:?}", point.role);
            writeln!(
                text,
                "    {role:<24} offset {:#010x} vaddr {:#010x} {} {}",
                point.file_offset,
                point.vaddr,
                hex(&point.first_bytes),
                point.symbol
            )?;
        }
    }
    Ok(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
