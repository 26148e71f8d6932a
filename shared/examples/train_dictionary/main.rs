//! Trains the dictionary of record form 3 (`src/queue/job-3.dict`), and measures what dictionaries are worth.
//!
//! - `train FILE [BYTES]` writes a dictionary. The same texts give the same bytes. Never overwrite one that records were
//!   written with: a new dictionary is a new form of the record, with a new file.
//! - `measure [MAILS]` prints sizes and times by dictionary and level, for the kinds of mail that are held out of the
//!   training and for the mails in the file (JSON Lines, as `postroom send` takes them).
//!
//! `cargo run --release -p postroom-shared --features train --example train_dictionary -- measure`

mod chance;
mod mails;

use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use crate::chance::Chance;
use crate::mails::Texts;

/// Mails of each kind that are trained on, and of each that is held out.
const EACH: u64 = 24;
/// Bytes of the dictionary as shipped.
const BYTES: usize = 16 << 10;
/// Below 256, so that a frame spends one byte on it. The record's form has the same number.
const ID: u32 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["train", file] => Ok(fs::write(file, train(BYTES)?)?),
        ["train", file, bytes] => Ok(fs::write(file, train(bytes.parse()?)?)?),
        ["measure"] => measure(None),
        ["measure", file] => measure(Some(file)),
        _ => Err("use: train FILE [BYTES] | measure [MAILS]".into()),
    }
}

/// A dictionary of at most so many bytes, with our own id in place of zstd's random one.
fn train(bytes: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let samples = Texts::read()?.records(EACH, false)?;
    let mut dictionary = zstd::dict::from_samples(&samples, bytes)?;
    let id = dictionary.get_mut(4..8).ok_or("no dictionary came out")?;
    id.copy_from_slice(&ID.to_le_bytes());
    Ok(dictionary)
}

fn measure(file: Option<&str>) -> Result<(), Box<dyn Error>> {
    let texts = Texts::read()?;
    let mut sets = vec![("trained on", texts.records(EACH, false)?), ("held out", texts.records(EACH, true)?)];
    if let Some(file) = file {
        let mut chance = Chance::new(7);
        let lines = fs::read_to_string(file)?;
        let records = lines.lines().map(|line| mails::plain_record(&serde_json::from_str(line)?, &mut chance));
        sets.push(("file", records.collect::<Result<_, _>>()?));
    }
    let mut out = io::stdout().lock();
    for (name, records) in &sets {
        let plain: usize = records.iter().map(Vec::len).sum();
        writeln!(out, "\n{name}: {} mails, {} bytes each, plain", records.len(), plain / records.len())?;
        writeln!(out, "dictionary  level   bytes  pack µs  unpack µs")?;
        for bytes in [0, 4 << 10, 8 << 10, 12 << 10, 16 << 10] {
            let dictionary = if bytes == 0 { Vec::new() } else { train(bytes)? };
            for level in [-1, 1, 2, 3, 4, 5, 6] {
                let (size, pack, unpack) = one(&dictionary, level, records)?;
                let micros = |time: Duration| time.as_secs_f64() * 1e6;
                writeln!(out, "{bytes:>10} {level:>6} {size:>7} {:>8.2} {:>10.2}", micros(pack), micros(unpack))?;
            }
        }
    }
    Ok(())
}

/// Mean bytes of a packed record, and the time to pack and to unpack one: the best of several rounds.
fn one(dictionary: &[u8], level: i32, records: &[Vec<u8>]) -> Result<(usize, Duration, Duration), Box<dyn Error>> {
    const ROUNDS: usize = 9;
    let count = u32::try_from(records.len())?;
    let (encoder, decoder);
    let (mut packer, mut unpacker) = if dictionary.is_empty() {
        (Compressor::new(level)?, Decompressor::new()?)
    } else {
        encoder = EncoderDictionary::try_copy(dictionary, level)?;
        decoder = DecoderDictionary::try_copy(dictionary)?;
        (Compressor::with_prepared_dictionary(&encoder)?, Decompressor::with_prepared_dictionary(&decoder)?)
    };
    let packed: Vec<Vec<u8>> = records.iter().map(|record| packer.compress(record)).collect::<Result<_, _>>()?;
    let mut room = Vec::with_capacity(1 << 20);
    let (mut pack, mut unpack) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for record in records {
            room.clear();
            packer.compress_to_buffer(record, &mut room)?;
        }
        pack = pack.min(start.elapsed() / count);
        let start = Instant::now();
        for frame in &packed {
            room.clear();
            unpacker.decompress_to_buffer(frame, &mut room)?;
        }
        unpack = unpack.min(start.elapsed() / count);
    }
    Ok((packed.iter().map(Vec::len).sum::<usize>() / records.len(), pack, unpack))
}
