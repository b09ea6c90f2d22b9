//! Ids, ratings and times in the fields of a table.

use super::Token;
use super::text::Text;
use crate::DataError;
use crate::ids::breaks_tables;

/// The largest whole number up to which every whole number is a float: 2⁵³.
const EXACT: f64 = 9_007_199_254_740_992.0;

pub(super) fn id<'t>(text: &Text, token: Token<'t>, what: &str) -> Result<Token<'t>, DataError> {
    if token.text.is_empty() {
        return Err(text.broken(token.at, "an empty field", format!("{what} id"), ""));
    }
    if breaks_tables(token.text) {
        return Err(text.broken(
            token.at,
            format!("{:?}", token.text),
            format!("{what} id without tabs and line ends"),
            "rename it: what is written about ids stands in lines, between tabs",
        ));
    }
    Ok(token)
}

pub(super) fn rating(text: &Text, token: Token<'_>) -> Result<f32, DataError> {
    match token.text.trim_ascii().parse::<f32>() {
        Ok(rating) if rating.is_finite() => Ok(rating),
        _ => Err(text.broken(token.at, format!("`{}`", token.text), "a finite number as rating", "")),
    }
}

/// Whole numbers, also written as floats (`881250949.0`, as some tools export them).
pub(super) fn time(text: &Text, token: Token<'_>) -> Result<i64, DataError> {
    let number = token.text.trim_ascii();
    if let Ok(time) = number.parse::<i64>() {
        return Ok(time);
    }
    match number.parse::<f64>() {
        Ok(time) if time.fract() == 0.0 && time.abs() <= EXACT => Ok(time as i64),
        _ => Err(text.broken(
            token.at,
            format!("`{}`", token.text),
            "a whole number as time",
            "use a finer unit, for example milliseconds",
        )),
    }
}
