//! Settings of which a level of the mesh file says only some.

use std::marker::PhantomData;

use mesh_proxy::config::{Cluster, Route};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned, de::Error as _};
use serde_json::{Map, Value};

/// Something that levels of the mesh file have parts of. The settings are those of
/// mesh-proxy, by the same names: nothing is written twice.
pub trait Whole: Serialize + DeserializeOwned {
    /// One with every setting at its default, for a part to be tried on.
    fn plain() -> Self;
}

impl Whole for Route {
    fn plain() -> Self {
        Self::new("route", "cluster")
    }
}

impl Whole for Cluster {
    fn plain() -> Self {
        Self::new(Vec::new())
    }
}

/// Some of the settings of a `T`; what it does not say is taken from the level below.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent, bound = "")]
pub struct Part<T> {
    settings: Map<String, Value>,
    #[serde(skip)]
    whole: PhantomData<T>,
}

impl<T> Default for Part<T> {
    fn default() -> Self {
        Self {
            settings: Map::new(),
            whole: PhantomData,
        }
    }
}

impl<'de, T: Whole> Deserialize<'de> for Part<T> {
    /// Accepts what a `T` accepts: an unknown setting, or one of a wrong kind, is an
    /// error here and not when it is used.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let part = Self {
            settings: Map::deserialize(from)?,
            whole: PhantomData,
        };
        part.try_over(T::plain()).map_err(D::Error::custom)?;
        Ok(part)
    }
}

impl<T> Part<T> {
    /// Whether it says something about a setting.
    pub(super) fn sets(&self, key: &str) -> bool {
        self.settings.contains_key(key)
    }

    /// This level with a stronger one on top.
    pub(super) fn overlaid(mut self, above: &Self) -> Self {
        self.settings.extend(above.settings.clone());
        self
    }
}

impl<T: Whole> Part<T> {
    /// A whole of which this changes what it says.
    pub(super) fn over(&self, below: T) -> T {
        self.try_over(below).expect(
            "each setting was read as one of a whole before, and they do not depend on one another",
        )
    }

    fn try_over(&self, below: T) -> Result<T, serde_json::Error> {
        let mut whole = serde_json::to_value(below)?;
        if let Value::Object(settings) = &mut whole {
            settings.extend(self.settings.clone());
        }
        serde_json::from_value(whole)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Cluster, Part, Route};

    fn route(yaml: &str) -> Part<Route> {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn a_stronger_level_changes_what_it_says_and_nothing_else() {
        let merged = route("{ deadline: 2s, max_body: 1MiB, retry: { attempts: 5 } }")
            .overlaid(&route("{ deadline: 5s, retry: null }"));
        let whole = merged.over(Route::new("a", "b"));
        assert_eq!(whole.deadline, Duration::from_secs(5));
        assert_eq!(whole.max_body, Some(1 << 20));
        assert_eq!(whole.retry, None, "what is said can be taken back");
        assert_eq!(whole.name, "a");
    }

    #[test]
    fn what_is_no_setting_is_an_error_that_names_those_there_are() {
        for wrong in [
            "{ dedline: 2s }",
            "{ deadline: 2 }",
            "{ retry: { on: [6xx] } }",
        ] {
            assert!(
                serde_saphyr::from_str::<Part<Route>>(wrong).is_err(),
                "{wrong}"
            );
        }
        let error = serde_saphyr::from_str::<Part<Cluster>>("{ balanc: x }").unwrap_err();
        assert!(error.to_string().contains("`balance`"), "{error}");
    }
}
