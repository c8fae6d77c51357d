//! Guests: services that the mesh file does not list, and further instances of those
//! that it does, which came by themselves (`glassmesh run`).

use super::{Instance, Instances, MeshFile, Service};

/// An instance that the mesh file does not list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// Name of its service.
    pub service: String,
    /// Name of the instance.
    pub instance: String,
    /// `host:port` at which others reach it; none: it only calls.
    pub inbound: Option<String>,
}

impl MeshFile {
    /// The mesh with guests in it. A guest of a service of the file takes its share of
    /// that service's requests. One of a service that the file does not know may call
    /// every service, and every service may call it by name.
    #[must_use]
    pub fn with_guests<'a>(&self, guests: impl IntoIterator<Item = &'a Guest>) -> Self {
        let mut mesh = self.clone();
        for guest in guests {
            let service = mesh.services.entry(guest.service.clone());
            service.or_insert_with(without_instances).take(guest);
        }
        let is_new = |name: &String| !self.services.contains_key(name);
        let callable: Vec<String> = mesh
            .services
            .iter()
            .filter(|(name, service)| !is_new(name) || service.has_instances())
            .map(|(name, _)| name.clone())
            .collect();
        for (name, service) in &mut mesh.services {
            let own = is_new(name);
            let more = callable
                .iter()
                .filter(|to| *to != name && (own || is_new(to)));
            service.calls.extend(more.cloned());
        }
        mesh
    }

    /// Whether the file lists this instance itself.
    #[must_use]
    pub fn lists(&self, service: &str, instance: &str) -> bool {
        let service = self.services.get(service);
        service.is_some_and(|service| match &service.instances {
            Instances::Count(_) => false,
            Instances::Listed(listed) => listed.iter().any(|one| one.name == instance),
        })
    }
}

fn without_instances() -> Service {
    Service {
        instances: Instances::Listed(Vec::new()),
        ..Service::default()
    }
}

impl Service {
    fn has_instances(&self) -> bool {
        match &self.instances {
            Instances::Count(count) => *count > 0,
            Instances::Listed(listed) => !listed.is_empty(),
        }
    }

    fn take(&mut self, guest: &Guest) {
        if let (Instances::Listed(listed), Some(inbound)) = (&mut self.instances, &guest.inbound)
            // An address that is there twice would make a policy that every caller refuses.
            && listed.iter().all(|one| one.inbound != *inbound)
        {
            listed.push(Instance {
                name: guest.instance.clone(),
                inbound: inbound.clone(),
                local: None,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh_proxy::config;

    use super::*;

    fn guest(service: &str, inbound: Option<&str>) -> Guest {
        Guest {
            service: service.to_owned(),
            instance: format!("{service}-guest"),
            inbound: inbound.map(ToOwned::to_owned),
        }
    }

    fn shop() -> MeshFile {
        let text = include_str!("../../../mesh.yaml");
        MeshFile::parse(text).unwrap().resolve().unwrap()
    }

    #[test]
    fn a_new_service_is_called_by_all_and_calls_all() {
        let mesh = shop().with_guests(&[guest("reviews", Some("127.0.0.1:9001"))]);
        let orders = mesh.policy_for("orders", &[]);
        assert_eq!(orders.clusters["reviews"].endpoints, ["127.0.0.1:9001"]);
        let reviews = mesh.policy_for("reviews", &[]);
        assert_eq!(reviews.routes.len(), 7);
        assert!(reviews.inbound.callers.contains(&"orders".to_owned()));
        for name in mesh.services.keys() {
            assert_eq!(config::check(&mesh.policy_for(name, &[])), [], "{name}");
        }
    }

    #[test]
    fn a_further_instance_takes_its_share() {
        let mesh = shop().with_guests(&[guest("users", Some("127.0.0.1:9001"))]);
        let gateway = mesh.policy_for("gateway", &[]);
        assert_eq!(gateway.clusters["users"].endpoints.len(), 2);
        assert!(!mesh.may_call("users", "orders"), "it is bound by the file");
    }

    #[test]
    fn an_address_of_the_file_is_not_there_twice() {
        let shop = shop();
        let known = shop.policy_for("gateway", &[]).clusters["users"]
            .endpoints
            .clone();
        let mesh = shop.with_guests(&[guest("users", Some(&known[0]))]);
        let gateway = mesh.policy_for("gateway", &[]);
        assert_eq!(gateway.clusters["users"].endpoints, known);
        assert_eq!(config::check(&gateway), []);
    }

    #[test]
    fn who_only_calls_is_called_by_nobody() {
        let mesh = shop().with_guests(&[guest("script", None), guest("reviews", Some("h:1"))]);
        assert!(!mesh.may_call("orders", "script"));
        assert!(mesh.may_call("script", "orders"));
        assert!(mesh.may_call("script", "reviews"));
        assert!(!mesh.may_call("reviews", "script"));
    }
}
