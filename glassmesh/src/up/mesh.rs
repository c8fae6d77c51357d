//! From the command line to a mesh without problems.

use std::path::Path;

use mesh_console::mesh_file::{Instances, MeshFile};
use mesh_proxy::config::Problem;

use super::UpArgs;
use crate::{failure::Failure, service};

/// The mesh that starts without `--config`.
const BUILT_IN: &str = include_str!("../../../mesh.yaml");

/// Reads and checks; reports everything that is wrong at once.
pub(super) fn load(args: &UpArgs) -> Result<MeshFile, Failure> {
    let (name, text) = read(args.config.as_deref())?;
    let mut mesh = MeshFile::parse(&text)
        .map_err(|error| Failure::Invalid(format!("{name} is no mesh file: {error}")))?;
    apply(args, &mut mesh)?;
    let mut problems = mesh.check();
    problems.extend(unknown_services(&mesh));
    if !problems.is_empty() {
        return Err(Failure::Invalid(report(&name, &problems)));
    }
    Ok(mesh)
}

fn read(config: Option<&Path>) -> Result<(String, String), Failure> {
    let Some(path) = config else {
        return Ok(("the built-in mesh file".to_owned(), BUILT_IN.to_owned()));
    };
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(Failure::Invalid(format!("--config {name}: {error}"))),
    }
}

/// Flags win over the file.
fn apply(args: &UpArgs, mesh: &mut MeshFile) -> Result<(), Failure> {
    let set = |port: &mut u16, flag: Option<u16>| *port = flag.unwrap_or(*port);
    set(&mut mesh.ports.console, args.console_port);
    set(&mut mesh.ports.otlp_grpc, args.otlp_grpc_port);
    set(&mut mesh.ports.otlp_http, args.otlp_http_port);
    set(&mut mesh.ports.internal, args.internal_port);
    mesh.load.rps = args.rps.unwrap_or(mesh.load.rps);
    if args.shop_port.is_some() {
        let exposed = mesh.services.values_mut().find(|s| s.expose.is_some());
        let Some(service) = exposed else {
            return Err(Failure::Invalid(
                "--shop-port: no service of the mesh file is exposed; give one `expose: PORT`"
                    .to_owned(),
            ));
        };
        service.expose = args.shop_port;
    }
    Ok(())
}

/// Only services that are in this binary can be started; others must say where they run.
fn unknown_services(mesh: &MeshFile) -> Vec<Problem> {
    let unknown = |(name, service): (&String, &mesh_console::mesh_file::Service)| {
        let started_here = match &service.instances {
            Instances::Count(count) => *count > 0,
            Instances::Listed(listed) => listed.iter().any(|instance| instance.local.is_some()),
        };
        (started_here && !service::NAMES.contains(&name.as_str())).then(|| Problem {
            key: format!("services.{name}"),
            message: format!(
                "no service of this name is in the shop, so it cannot be started here; expected one of {}, or `instances:` with the addresses at which it runs",
                service::NAMES.join(", ")
            ),
        })
    };
    mesh.services.iter().filter_map(unknown).collect()
}

fn report(name: &str, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(|p| format!("\n  {p}")).collect();
    let count = match problems.len() {
        1 => "a problem".to_owned(),
        several => format!("{several} problems"),
    };
    format!("{name} has {count}; nothing was started{}", lines.concat())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        up: UpArgs,
    }

    fn args(words: &[&str]) -> UpArgs {
        Cli::parse_from([&["up"], words].concat()).up
    }

    #[test]
    fn the_built_in_mesh_file_has_no_problems() {
        let mesh = load(&args(&[])).unwrap();
        assert_eq!(mesh.services.len(), 7);
        assert_eq!(mesh.resolve().unwrap().listeners().len(), 3 + 9 * 6);
    }

    #[test]
    fn flags_win_over_the_file() {
        let mesh = load(&args(&[
            "--console-port",
            "4999",
            "--shop-port",
            "4998",
            "--rps",
            "0",
        ]));
        let mesh = mesh.unwrap();
        assert_eq!(mesh.ports.console, 4999);
        assert_eq!(mesh.services["gateway"].expose, Some(4998));
        assert!(mesh.load.rps.abs() < f64::EPSILON);
    }

    #[test]
    fn a_service_that_is_not_in_the_shop_is_named_with_its_key() {
        let mesh = MeshFile::parse("mesh: m\nservices: { oracle: {} }\n").unwrap();
        let problems = unknown_services(&mesh);
        assert_eq!(problems[0].key, "services.oracle");
        assert!(problems[0].message.contains("payments"));
    }
}
