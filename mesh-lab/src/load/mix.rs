//! Kinds of requests and their shares.

use std::{fmt, str::FromStr};

use serde::Serialize;

/// What a visitor of the shop does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `GET /products`
    Browse,
    /// `GET /products/{id}`
    Detail,
    /// `POST /orders` with an `Idempotency-Key`
    Order,
    /// `GET /orders/{id}`
    Lookup,
    /// `POST /users`, so that there is somebody to order; not part of the mix
    Signup,
}

impl Kind {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 5] = [
        Self::Browse,
        Self::Detail,
        Self::Order,
        Self::Lookup,
        Self::Signup,
    ];

    /// Name in reports and in `--mix`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Browse => "browse",
            Self::Detail => "detail",
            Self::Order => "order",
            Self::Lookup => "lookup",
            Self::Signup => "signup",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.pad(self.name())
    }
}

/// Shares of the kinds, as `browse=40,detail=25,order=20,lookup=15`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    shares: Vec<(Kind, f64)>,
}

impl Default for Mix {
    /// Most visitors look, one in five buys.
    fn default() -> Self {
        Self {
            shares: vec![
                (Kind::Browse, 40.0),
                (Kind::Detail, 25.0),
                (Kind::Order, 20.0),
                (Kind::Lookup, 15.0),
            ],
        }
    }
}

impl Mix {
    /// The kind at `draw` (0 to 1) of the way through the shares.
    pub(super) fn pick(&self, draw: f64) -> Kind {
        let total: f64 = self.shares.iter().map(|(_, share)| share).sum();
        let mut left = draw * total;
        for (kind, share) in &self.shares {
            left -= share;
            if left < 0.0 {
                return *kind;
            }
        }
        self.shares.last().map_or(Kind::Browse, |(kind, _)| *kind)
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shares = text.split(',').map(share).collect::<Result<Vec<_>, _>>()?;
        if shares.iter().all(|(_, share)| *share == 0.0) {
            return Err("all shares are zero: give one kind a share above zero".to_owned());
        }
        Ok(Self { shares })
    }
}

fn share(part: &str) -> Result<(Kind, f64), String> {
    let wrong = || {
        format!(
            "`{part}` is no share: write KIND=NUMBER with browse, detail, order or lookup, as `browse=40,order=60`"
        )
    };
    let (name, share) = part.split_once('=').ok_or_else(wrong)?;
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| kind.name() == name.trim() && *kind != Kind::Signup)
        .ok_or_else(wrong)?;
    let share: f64 = share.trim().parse().map_err(|_| wrong())?;
    if share.is_finite() && share >= 0.0 {
        Ok((kind, share))
    } else {
        Err(wrong())
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (kind, share)) in self.shares.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(to, "{comma}{kind}={share}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_fall_into_shares() {
        let mix: Mix = "browse=1,order=3".parse().unwrap();
        assert_eq!(mix.pick(0.0), Kind::Browse);
        assert_eq!(mix.pick(0.24), Kind::Browse);
        assert_eq!(mix.pick(0.26), Kind::Order);
        assert_eq!(mix.pick(0.999), Kind::Order);
    }

    #[test]
    fn mix_is_written_as_it_is_read() {
        let mix = Mix::default();
        assert_eq!(mix.to_string().parse::<Mix>().unwrap(), mix);
    }

    #[test]
    fn wrong_shares_say_what_was_expected() {
        for wrong in ["", "browse", "steal=3", "order=-1", "order=NaN", "browse=0"] {
            let error = wrong.parse::<Mix>().unwrap_err();
            assert!(error.contains("share"), "{wrong}: {error}");
        }
    }
}
