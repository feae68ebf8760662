//! Mutations that know a little of what they change: numbers at the edges, JSON as a tree.

use serde_json::Value;

/// A small generator of numbers, the same on every run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 16) as usize % n.max(1)
    }
}

const EDGES: [u64; 16] = [
    0,
    1,
    2,
    7,
    64,
    255,
    256,
    65_535,
    1 << 20,
    (1 << 31) - 1,
    1 << 32,
    1 << 40,
    1 << 62,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Change some bytes. The first one, which says what the others are, stays.
pub fn bytes(data: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        let at = 1 + random.below(data.len().saturating_sub(1));
        // The head is where headers are, the tail where indexes and checksums are.
        let at = match random.below(4) {
            0 => at.min(1 + random.below(40)),
            1 => at.max(data.len().saturating_sub(1 + random.below(300))),
            _ => at,
        };
        if at >= data.len() {
            data.push(random.below(256) as u8);
            continue;
        }
        match random.below(9) {
            0 => data[at] ^= 1 << random.below(8),
            1 => data[at] = random.below(256) as u8,
            2 => data.truncate(at),
            3 => {
                let edge = EDGES[random.below(EDGES.len())].to_le_bytes();
                let width = [1, 2, 4, 8][random.below(4)].min(data.len() - at);
                data[at..at + width].copy_from_slice(&edge[..width]);
            }
            4 => {
                let end = (at + 1 + random.below(64)).min(data.len());
                data.drain(at..end);
            }
            5 => {
                let end = (at + 1 + random.below(64)).min(data.len());
                let copy = data[at..end].to_vec();
                data.splice(at..at, copy);
            }
            6 => {
                let from = random.below(other.len());
                let end = (from + 1 + random.below(64)).min(other.len());
                data.splice(at..at, other[from..end].iter().copied());
            }
            7 => {
                let end = (at + 1 + random.below(16)).min(data.len());
                data[at..end].fill([0, 0xff][random.below(2)]);
            }
            _ => {
                let to = 1 + random.below(data.len() - 1);
                data.swap(at, to);
            }
        }
    }
}

/// Change a document: values at random places of the tree, or, now and then, its text.
pub fn json(data: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    if random.below(10) == 0 {
        return bytes(data, other, random);
    }
    let (mut tree, other) = (parse(data), parse(other));
    for _ in 0..1 + random.below(3) {
        let replacement = value(&tree, &other, random);
        let at = random.below(count(&tree));
        change(&mut tree, at, &replacement, random);
    }
    *data = tree.to_string().into_bytes();
}

fn parse(data: &[u8]) -> Value {
    serde_json::from_slice(data).expect("seeds are JSON")
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

fn nth(value: &Value, mut n: usize) -> &Value {
    if n == 0 {
        return value;
    }
    n -= 1;
    let children: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => vec![],
    };
    for child in children {
        let below = count(child);
        if n < below {
            return nth(child, n);
        }
        n -= below;
    }
    unreachable!("n is less than the count")
}

/// Something to put in a place: an edge of a number's range, a part of a document, an odd string.
fn value(tree: &Value, other: &Value, random: &mut Random) -> Value {
    const TEXTS: [&str; 14] = [
        "",
        "/",
        "..",
        "../../etc",
        "NaN",
        "Infinity",
        "0xffffffff",
        "<f4",
        ">U9999999",
        "|V99999999",
        "r999992",
        "é\u{0}",
        "int32",
        "float64",
    ];
    match random.below(8) {
        0 => EDGES[random.below(EDGES.len())].into(),
        1 => (-(EDGES[random.below(EDGES.len())] as i64 >> 1)).into(),
        2 => serde_json::json!([0.5, 1e300, -0.0, 1e-300][random.below(4)]),
        3 => TEXTS[random.below(TEXTS.len())].into(),
        4 => Value::Null,
        5 => nth(tree, random.below(count(tree))).clone(),
        6 => nth(other, random.below(count(other))).clone(),
        _ => (0..random.below(200)).fold(Value::from(1), |inner, _| Value::Array(vec![inner])),
    }
}

/// Change what lies at place `at` of the tree.
fn change(tree: &mut Value, mut at: usize, replacement: &Value, random: &mut Random) {
    if at == 0 {
        match tree {
            Value::Array(items) if random.below(3) > 0 => match random.below(3) {
                0 => items.push(replacement.clone()),
                1 => _ = items.pop(),
                _ => items.extend(items.clone().into_iter().take(random.below(40))),
            },
            Value::Object(members) if random.below(3) > 0 => {
                let name = members.keys().nth(random.below(members.len())).cloned();
                if let Some(name) = name {
                    if random.below(2) == 0 {
                        members.remove(&name);
                    } else {
                        members.insert(name, replacement.clone());
                    }
                }
            }
            _ => *tree = replacement.clone(),
        }
        return;
    }
    at -= 1;
    let children: Vec<&mut Value> = match tree {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => vec![],
    };
    for child in children {
        let below = count(child);
        if at < below {
            return change(child, at, replacement, random);
        }
        at -= below;
    }
}
