//! A believable shop: which statement it runs next.
//!
//! Orders are placed, packed, shipped and delivered, a few are cancelled, old ones leave the table. Pure: the dice come
//! in, SQL goes out, and the database itself picks the order, so the shop needs no memory.

/// Rows the shop keeps. Enough to fill a page and to find an order for every step, small enough that each pick is quick.
const ORDERS_KEPT: u32 = 250;

const FIRST_NAMES: &[&str] = &[
    "Ada",
    "Björn",
    "Chiara",
    "Dmitri",
    "Esra",
    "Fatou",
    "Grace",
    "Hiroshi",
    "Ingrid",
    "Jonas",
    "Katarína",
    "Liam",
    "Mei",
    "Noor",
    "Oluwaseun",
    "Priya",
    "Quentin",
    "Rosa",
    "Søren",
    "Tomasz",
    "Uma",
    "Valentina",
    "Wanjiru",
    "Xavier",
    "Yusuf",
    "Zoë",
];

const LAST_NAMES: &[&str] = &[
    "Abe",
    "Brandt",
    "Costa",
    "Dubois",
    "Eriksen",
    "Fischer",
    "García",
    "Hansen",
    "Ito",
    "Jensen",
    "Kowalski",
    "Lindqvist",
    "Müller",
    "Nakamura",
    "O'Brien",
    "Petrova",
    "Quist",
    "Rossi",
    "Şahin",
    "Tanaka",
    "Ueda",
    "Varga",
    "Wójcik",
    "Young",
    "Zhang",
];

const PRODUCTS: &[&str] = &[
    "Espresso machine",
    "Trail running shoes",
    "Mechanical keyboard",
    "Cast-iron pan",
    "Noise-cancelling headphones",
    "Rain jacket",
    "Desk lamp",
    "Bicycle pump",
    "Chess set",
    "Sourdough starter kit",
    "Fountain pen",
    "Camping stove",
    "Linen sheets",
    "Pocket telescope",
    "Yoga mat",
    "Ceramic teapot",
    "Solar charger",
    "Wool socks, 3 pairs",
    "Garden shears",
    "Board game: Harbour Town",
];

/// The statement for one throw of the dice (any number; its parts decide step, name and product).
pub fn statement(dice: u64) -> String {
    match dice % 100 {
        0..=34 => place(dice / 100),
        35..=59 => advance("pending", "packed"),
        60..=79 => advance("packed", "shipped"),
        80..=91 => advance("shipped", "delivered"),
        92..=94 => advance("pending", "cancelled"),
        _ => tidy(),
    }
}

fn place(dice: u64) -> String {
    let pick = |list: &[&'static str], dice: u64| list[(dice % list.len() as u64) as usize].replace('\'', "''");
    let first = pick(FIRST_NAMES, dice);
    let last = pick(LAST_NAMES, dice / 31);
    let product = pick(PRODUCTS, dice / 997);
    format!(
        "INSERT INTO orders (customer_name, product_name, status) VALUES ('{first} {last}', '{product}', 'pending')"
    )
}

fn advance(from: &str, to: &str) -> String {
    format!(
        "UPDATE orders SET status = '{to}', updated_at = now() \
         WHERE id = (SELECT id FROM orders WHERE status = '{from}' ORDER BY random() LIMIT 1)"
    )
}

/// The oldest order leaves: a finished one if the table is of a fair size, any when it has grown too far.
fn tidy() -> String {
    format!(
        "DELETE FROM orders WHERE id = (SELECT id FROM orders WHERE status IN ('delivered', 'cancelled') \
         OR (SELECT count(*) FROM orders) > {ORDERS_KEPT} ORDER BY id LIMIT 1) AND (SELECT count(*) FROM orders) > 20"
    )
}

/// Dice without a dependency: splitmix64, from Steele, Lea and Flood, "Fast splittable pseudorandom number generators".
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// The next throw.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_an_apostrophe_stays_one_literal() {
        let statements = (0..2000).map(|n| statement(n * 100));
        let with_quote = statements.filter(|sql| sql.contains("O''Brien")).count();
        assert!(with_quote > 0);
    }

    #[test]
    fn every_kind_of_change_is_played() {
        let mut dice = Dice(1);
        let played: Vec<String> = (0..500).map(|_| statement(dice.throw())).collect();
        for verb in [
            "INSERT",
            "'packed'",
            "'shipped'",
            "'delivered'",
            "'cancelled'",
            "DELETE",
        ] {
            assert!(played.iter().any(|sql| sql.contains(verb)), "no {verb}");
        }
    }
}
