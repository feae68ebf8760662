//! Chunks that ask zarrs' decoders for too much, each of which once ended a process or reached beyond its memory.

use std::sync::Arc;

use serde_json::{Value, json};
use zarrs::array::codec::api::{ArrayToBytesCodecTraits, CodecOptions};
use zarrs::array::{Array as Zarrs, ArrayBytes, ArrayMetadata};
use zarrs_c::engine::codec::{Chain, ChunkCodec};
use zarrs_c::engine::error::{Error, Status};
use zarrs_c::engine::scratch::PageBuf;

/// A chunk of `shape` that zarrs has encoded, what went in, and our codec for it.
struct Chunk {
    encoded: Vec<u8>,
    elements: Vec<u8>,
    codec: ChunkCodec,
}

fn codec(codecs: &Value, dtype: &str, shape: &[u64]) -> (Zarrs<()>, Result<ChunkCodec, Error>) {
    let metadata = json!({
        "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": dtype, "codecs": codecs, "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}},
        "chunk_key_encoding": {"name": "default"},
    });
    let metadata: ArrayMetadata = serde_json::from_value(metadata).unwrap();
    let array = Zarrs::new_with_metadata(Arc::new(()), "/", metadata).unwrap();
    let chain = Chain::new(array.codecs(), array.data_type().clone(), array.fill_value().clone());
    let ours = chain.for_shape(shape);
    (array, ours)
}

impl Chunk {
    fn new(codecs: &Value, dtype: &str, shape: &[u64]) -> Self {
        let (array, codec) = codec(codecs, dtype, shape);
        let codec = codec.unwrap();
        // Small numbers, of which every data type has some.
        let itemsize = array.data_type().fixed_size().unwrap();
        let elements: Vec<u8> = (0..codec.decoded_len())
            .map(|i| if i % itemsize == 0 { (i / 40 % 100) as u8 } else { 0 })
            .collect();
        let nonzero: Vec<_> = shape.iter().map(|n| (*n).try_into().unwrap()).collect();
        let bytes = ArrayBytes::from(elements.clone());
        let (data_type, fill_value) = (array.data_type(), array.fill_value());
        let encoded =
            array.codecs().encode(bytes, &nonzero, data_type, fill_value, &CodecOptions::default()).unwrap();
        Self { encoded: encoded.into_owned(), elements, codec }
    }

    fn decode(&self, encoded: &[u8]) -> Result<Vec<u8>, Error> {
        let mut buffers = [PageBuf::default(), PageBuf::default()];
        self.codec.decode(encoded, &mut buffers, false).map(|decoded| decoded.bytes.into_owned())
    }

    #[track_caller]
    fn assert_refused(&self, encoded: &[u8], words: &str) {
        let error = self.decode(encoded).expect_err("it decodes");
        assert_eq!(error.status, Status::Codec, "{error}");
        assert!(error.message.contains(words), "{error}");
    }
}

fn little() -> Value {
    json!({"name": "bytes", "configuration": {"endian": "little"}})
}

fn zstd() -> Value {
    json!({"name": "zstd", "configuration": {"level": 1, "checksum": false}})
}

#[test]
fn gdeflate_decodes_pages_and_believes_no_header() {
    let chunk = Chunk::new(
        &json!([little(), {"name": "zarrs.gdeflate", "configuration": {"level": 1}}]),
        "uint64",
        &[200, 100],
    );
    assert_eq!(chunk.decode(&chunk.encoded).unwrap(), chunk.elements);
    let with = |at: usize, n: u64| {
        let mut encoded = chunk.encoded.clone();
        encoded[at..at + 8].copy_from_slice(&n.to_le_bytes());
        encoded
    };
    chunk.assert_refused(&with(0, 1 << 40), "it holds");
    chunk.assert_refused(&with(0, 3), "pages");
    chunk.assert_refused(&with(8, 1 << 61), "pages");
    chunk.assert_refused(&with(16, u64::MAX), "cut short");
    chunk.assert_refused(&with(16, 3), "page");
    chunk.assert_refused(&chunk.encoded[..20], "cut short");
    chunk.assert_refused(&chunk.encoded[..chunk.encoded.len() - 40], "page");
    chunk.assert_refused(&[], "cut short");
    // Bytes whose blocks are empty and never the last: the decoder reads on until it finds its end.
    let head = 16 + 8 * 3;
    let mut endless = chunk.encoded.clone();
    endless[head..].fill(0);
    chunk.assert_refused(&endless, "page 0");
}

#[test]
fn pcodec_gives_no_more_than_the_chunk_holds() {
    let pcodec = json!([{"name": "numcodecs.pcodec", "configuration":
        {"level": 1, "mode_spec": "auto", "delta_spec": "auto", "paging_spec": "equal_pages_up_to"}}]);
    let (small, large) =
        (Chunk::new(&pcodec, "int64", &[10, 10]), Chunk::new(&pcodec, "int64", &[1000, 1000]));
    assert_eq!(large.decode(&large.encoded).unwrap(), large.elements);
    small.assert_refused(&large.encoded, "expected 100");
    large.assert_refused(&small.encoded, "expected 1000000");
    small.assert_refused(&small.encoded[..small.encoded.len() / 2], "pcodec");
    small.assert_refused(&[], "pcodec");
}

fn zfpy(mode: Value) -> Value {
    json!([{"name": "numcodecs.zfpy", "configuration": mode}])
}

#[test]
fn a_zfp_header_of_another_chunk_is_refused() {
    for mode in [json!({"mode": 4, "tolerance": 0.001}), json!({"mode": 2, "rate": 16.0}), json!({"mode": 5})]
    {
        let chunk = Chunk::new(&zfpy(mode.clone()), "float32", &[16, 16]);
        assert!(chunk.decode(&chunk.encoded).is_ok());
        for (dtype, shape) in [("float32", [600, 600]), ("float32", [4, 4]), ("float64", [16, 16])] {
            chunk.assert_refused(&Chunk::new(&zfpy(mode.clone()), dtype, &shape).encoded, "the header is of");
        }
        chunk.assert_refused(&[0; 100], "there is no header");
        chunk.assert_refused(&chunk.encoded[..3], "there is no header");
        chunk.assert_refused(&[], "zfp");
    }
}

#[test]
fn a_zfp_chunk_that_is_cut_short_reads_no_further() {
    let chains = [
        zfpy(json!({"mode": 5})),
        json!([{"name": "zfp", "configuration": {"mode": "reversible"}}]),
        json!([{"name": "zfp", "configuration": {"mode": "fixed_rate", "rate": 16.0}}]),
    ];
    for codecs in chains {
        let chunk = Chunk::new(&codecs, "float64", &[64, 64]);
        // What is decoded then is noise or an error; that nothing else is read shows under AddressSanitizer.
        let _ = chunk.decode(&chunk.encoded[..20]);
        let _ = chunk.decode(&[0xff; 20]);
    }
    let (_, absurd) = codec(
        &json!([{"name": "zfp", "configuration": {"mode": "fixed_rate", "rate": 1e6}}]),
        "float32",
        &[64, 64],
    );
    assert_eq!(absurd.unwrap_err().status, Status::Invalid);
}

#[test]
fn nested_shards_take_what_their_index_says_within_bounds() {
    let sharding = |codecs: Value| {
        json!([{"name": "sharding_indexed", "configuration": {"chunk_shape": [4, 5], "codecs": codecs,
            "index_codecs": [little()], "index_location": "start"}}])
    };
    // Behind a checksum, a shard is decoded as a whole.
    let mut codecs = sharding(json!([little(), zstd()]));
    codecs.as_array_mut().unwrap().push(json!({"name": "numcodecs.adler32"}));
    let chunk = Chunk::new(&codecs, "uint16", &[8, 10]);
    assert_eq!(chunk.decode(&chunk.encoded).unwrap(), chunk.elements);
    // Without the checksum in front, so that only the shard can be wrong.
    let bare =
        Chunk { codec: codec(&sharding(json!([little(), zstd()])), "uint16", &[8, 10]).1.unwrap(), ..chunk };
    let shard = &bare.encoded[4..];
    assert_eq!(bare.decode(shard).unwrap(), bare.elements);
    for (offset, size) in [(1 << 62, 10), (10, 1 << 62), (u64::MAX - 1, 10), (64, 1 << 40), (u64::MAX, 0)] {
        let mut shard = shard.to_vec();
        shard[16..24].copy_from_slice(&u64::to_le_bytes(offset));
        shard[24..32].copy_from_slice(&u64::to_le_bytes(size));
        bare.assert_refused(&shard, "shard index");
    }
    // An inner frame that claims a terabyte.
    let mut claims = shard.to_vec();
    let frame = [&0xfd2f_b528_u32.to_le_bytes()[..], &[0xe0], &(1u64 << 40).to_le_bytes()].concat();
    claims[64..64 + frame.len()].copy_from_slice(&frame);
    bare.assert_refused(&claims, "inner chunk");
    let mut missing = shard.to_vec();
    missing[..64].fill(0xff);
    assert_eq!(bare.decode(&missing).unwrap(), [0; 160]);
}

#[test]
fn decompression_bombs_stop_at_what_the_chunk_holds() {
    let bomb = |codecs: &Value| Chunk::new(codecs, "uint8", &[8 << 10, 1 << 10]).encoded;
    for name in ["zstd", "gzip", "numcodecs.zlib", "numcodecs.bz2", "blosc"] {
        let configuration = match name {
            "zstd" => json!({"level": 1, "checksum": false}),
            "blosc" => json!({"cname": "lz4", "clevel": 9, "shuffle": "noshuffle", "blocksize": 0}),
            _ => json!({"level": 9}),
        };
        let codecs = json!([little(), {"name": name, "configuration": configuration}]);
        let small = Chunk::new(&codecs, "uint8", &[8, 8]);
        let mut buffers = [PageBuf::default(), PageBuf::default()];
        let error = small.codec.decode(&bomb(&codecs), &mut buffers, false).map(drop).unwrap_err();
        assert_eq!(error.status, Status::Codec, "{error}");
        let room: usize = buffers.iter().map(PageBuf::capacity).sum();
        assert!(room < 1 << 16, "{name}: {room} bytes for a chunk of 64");
    }
}
