//! Integers, floats, numerics and money (`decimal.handling.mode`).

use super::Plan;
use crate::{
    DecimalMode, ValueModes, converter::Converter, default_expression::DefaultRule, schema::Schema, toast::Toast,
};

pub(super) fn plan(oid: u32, type_modifier: i32, modes: &ValueModes) -> Option<Plan> {
    let plan = match oid {
        21 => number(Converter::Int16, "int16"),
        23 => number(Converter::Int32, "int32").in_arrays(Toast::PlaceholderNumbers),
        20 => number(Converter::Int64, "int64").in_arrays(Toast::PlaceholderNumbers),
        26 => number(Converter::UnsignedInt32, "int64").default(DefaultRule::Dropped),
        700 => number(Converter::Float32, "float"),
        701 => number(Converter::Float64, "double"),
        1700 => numeric(type_modifier, modes.decimal),
        790 => money(modes),
        _ => return None,
    };
    Some(plan)
}

fn number(converter: Converter, type_word: &'static str) -> Plan {
    Plan::new(converter, Schema::plain(type_word), "0")
        .default(DefaultRule::Number)
        .in_arrays(Toast::Null)
}

const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";

/// Precision and scale, if the column has them. The modifier holds them above the length of a varlena header; the scale
/// has eleven bits and a sign (which Debezium overlooks: it takes -2 for 2046).
fn precision_and_scale(type_modifier: i32) -> Option<(i32, i32)> {
    const HEADER: i32 = 4;
    let packed = type_modifier.checked_sub(HEADER).filter(|packed| *packed >= 0)?;
    Some((packed >> 16 & 0xffff, (packed & 0x7ff ^ 0x400) - 0x400))
}

fn numeric(type_modifier: i32, mode: DecimalMode) -> Plan {
    let constrained = precision_and_scale(type_modifier);
    let plan = match (mode, constrained) {
        (DecimalMode::Precise, None) => {
            return Plan::new(Converter::VariableScaleDecimal, variable_scale_schema(), "0").in_arrays(Toast::Null);
        }
        (DecimalMode::Precise, Some((precision, scale))) => {
            let schema = Schema::named("bytes", DECIMAL)
                .with("scale", scale)
                .with("connect.decimal.precision", precision);
            Plan::new(Converter::Decimal { scale }, schema, "0")
        }
        (DecimalMode::Double, _) => Plan::new(Converter::DecimalDouble, Schema::plain("double"), "0"),
        (DecimalMode::String, _) => {
            let scale = constrained.map(|(_, scale)| scale);
            Plan::new(Converter::DecimalText { scale }, Schema::plain("string"), "0").toast(Toast::Placeholder)
        }
    };
    plan.default(DefaultRule::Decimal)
        .default_zero("0.0")
        .in_arrays(Toast::Null)
}

fn variable_scale_schema() -> Schema {
    Schema::struct_of(&[("scale", Schema::plain("int32")), ("value", Schema::plain("bytes"))])
        .name("io.debezium.data.VariableScaleDecimal")
        .doc("Variable scaled decimal")
}

fn money(modes: &ValueModes) -> Plan {
    let schema = match modes.decimal {
        DecimalMode::Precise => Schema::named("bytes", DECIMAL).with("scale", modes.money_fraction_digits),
        DecimalMode::Double => Schema::plain("double"),
        DecimalMode::String => Schema::plain("string"),
    };
    let money = |fraction_digits| Converter::Money {
        mode: modes.decimal,
        fraction_digits,
    };
    Plan {
        // A value as text has PostgreSQL's own digits; the filler has the configured ones.
        filler: money(Some(modes.money_fraction_digits)),
        ..Plan::new(
            money((modes.decimal == DecimalMode::Precise).then_some(modes.money_fraction_digits)),
            schema,
            "0",
        )
    }
}
