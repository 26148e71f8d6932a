//! Packing of records: zstd frames, with a trained dictionary for small ones and without for large ones.
//!
//! The dictionary (`job-3.dict`) holds what mails have in common and the tables of letters that zstd would otherwise
//! build for each frame: most of the time a small frame costs, and a third of its bytes. It is frozen for ever: records
//! that lie in Redis are read with it, and each frame carries its id (3). A new dictionary is a new file, with a new id
//! and a new form of the record. It comes from `shared/examples/train_dictionary`.

use std::cell::RefCell;
use std::io::{self, Cursor};
use std::sync::LazyLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::zstd_safe;

static DICTIONARY: &[u8] = include_bytes!("job-3.dict");
/// With the dictionary, level 2 packs better than 3 and in two thirds of the time (docs/decisions/0011).
const TRAINED_LEVEL: i32 = 2;
/// Level 3 is zstd's own default.
const LEVEL: i32 = 3;
/// No honest record is larger: the largest message (35,882,577 bytes) and its envelope.
const LARGEST: usize = 40 << 20;
/// In a larger record the dictionary saves next to nothing and still costs time.
const TRAINED_LARGEST: usize = 32 << 10;
/// Room for a record larger than this is given back at once.
const KEPT: usize = 64 << 10;

// Made ready once for the process, shared by its threads.
static ENCODER: LazyLock<Option<EncoderDictionary<'static>>> =
    LazyLock::new(|| EncoderDictionary::try_copy(DICTIONARY, TRAINED_LEVEL).ok());
static DECODER: LazyLock<Option<DecoderDictionary<'static>>> =
    LazyLock::new(|| DecoderDictionary::try_copy(DICTIONARY).ok());

/// Whether a frame was made with the dictionary.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// It was.
    Trained,
    /// It stands for itself.
    Alone,
}

impl Frame {
    /// The better one for so many bytes.
    pub(super) fn for_size(plain: usize) -> Self {
        if plain <= TRAINED_LARGEST { Self::Trained } else { Self::Alone }
    }
}

/// What packing and unpacking need, kept from mail to mail.
struct Room {
    trained_packer: Option<Compressor<'static>>,
    packer: Option<Compressor<'static>>,
    trained_unpacker: Option<Decompressor<'static>>,
    unpacker: Option<Decompressor<'static>>,
    plain: Vec<u8>,
}

thread_local! {
    static ROOM: RefCell<Room> = const {
        RefCell::new(Room {
            trained_packer: None,
            packer: None,
            trained_unpacker: None,
            unpacker: None,
            plain: Vec::new(),
        })
    };
}

/// A record: the byte that `form` has for the frame, then the frame of what `write` wrote.
pub(super) fn pack(
    write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
    form: impl FnOnce(Frame) -> u8,
) -> io::Result<Vec<u8>> {
    ROOM.with_borrow_mut(|room| {
        room.plain.clear();
        let record = write(&mut room.plain).and_then(|()| {
            let frame = Frame::for_size(room.plain.len());
            let packer = match frame {
                Frame::Trained => made(&mut room.trained_packer, || {
                    Compressor::with_prepared_dictionary(ENCODER.as_ref().ok_or_else(unusable)?)
                })?,
                Frame::Alone => made(&mut room.packer, || Compressor::new(LEVEL))?,
            };
            let mut record = Vec::with_capacity(1 + zstd_safe::compress_bound(room.plain.len()));
            record.push(form(frame));
            let mut record = Cursor::new(record);
            record.set_position(1);
            packer.compress_to_buffer(&room.plain, &mut record)?;
            let mut record = record.into_inner();
            record.shrink_to_fit();
            Ok(record)
        });
        room.tidy();
        record
    })
}

/// Reads the contents of a frame of its own from its beginning, which may be cut.
pub(super) fn unpacker(packed: &[u8]) -> Option<impl io::Read> {
    zstd::stream::read::Decoder::with_buffer(packed).ok()
}

/// What `read` makes of the contents of a frame; nothing if the frame is damaged.
pub(super) fn unpack<T>(packed: &[u8], frame: Frame, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    let size = zstd_safe::get_frame_content_size(packed).ok().flatten()?;
    let size = usize::try_from(size).ok().filter(|size| *size <= LARGEST)?;
    ROOM.with_borrow_mut(|room| {
        let unpacker = match frame {
            Frame::Trained => made(&mut room.trained_unpacker, || {
                Decompressor::with_prepared_dictionary(DECODER.as_ref().ok_or_else(unusable)?)
            }),
            Frame::Alone => made(&mut room.unpacker, Decompressor::new),
        };
        room.plain.clear();
        room.plain.reserve(size);
        let unpacked = unpacker.ok()?.decompress_to_buffer(packed, &mut room.plain).ok();
        let contents = unpacked.and_then(|_| read(&room.plain));
        room.tidy();
        contents
    })
}

impl Room {
    fn tidy(&mut self) {
        if self.plain.capacity() > KEPT {
            self.plain = Vec::new();
        }
    }
}

/// What is kept here, made now if it is the first time.
fn made<T>(kept: &mut Option<T>, make: impl FnOnce() -> io::Result<T>) -> io::Result<&mut T> {
    match kept {
        Some(kept) => Ok(kept),
        None => Ok(kept.insert(make()?)),
    }
}

fn unusable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "zstd does not take the dictionary that this program was built with")
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// Records that lie in Redis are read with these very bytes. If this fails, put the file back: a new dictionary gets
    /// a file, an id and a form of the record of its own.
    #[test]
    fn the_dictionary_is_frozen() {
        let digest: String = Sha256::digest(DICTIONARY).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, "8fc042e290efee142e7b8e176bcf758acac440a4716185ff79573a20af5c16a3");
        assert_eq!(zstd_safe::get_dict_id_from_dict(DICTIONARY).map(u32::from), Some(3));
    }
}
