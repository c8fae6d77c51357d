//! `HAProxy` and nginx: a route, and an access log where everything is on. They trace
//! nothing.

use std::{fs, process::Command};

use anyhow::{Context as _, ensure};

use super::{Dress, Ground, Hop};
use crate::load::Protocol;

pub(super) fn haproxy(hop: &Hop, dress: &Dress, ground: &Ground<'_>) -> anyhow::Result<Command> {
    let program = ground.programs.haproxy.as_ref().context("not installed")?;
    let protocol = match dress.protocol {
        Protocol::Http1 => "",
        Protocol::Http2 => " proto h2",
    };
    let (log, format) = if dress.everything {
        (
            "log stdout format raw local0",
            r#"  log global
  log-format '{"time":"%tr","method":"%HM","path":"%HP","status":%ST,"bytes":%B,"duration_ms":%Ta,"server":"%s","client":"%ci","reason":"%ts"}'
  retries 2
  retry-on conn-failure empty-response 503"#,
        )
    } else {
        ("", "")
    };
    let config = format!(
        "global\n  nbthread 1\n  maxconn 8000\n  {log}\n\
         defaults\n  mode http\n  timeout connect 1s\n  timeout client 60s\n  timeout server 10s\n  \
         option http-keep-alive\n  http-reuse always\n{format}\n\
         frontend entry\n  bind {}{protocol}\n  default_backend echo\n\
         backend echo\n  server echo {}{protocol}\n",
        hop.listen, hop.to
    );
    let file = ground.folder.join(format!("{}.cfg", hop.name));
    fs::write(&file, config)?;
    let mut command = Command::new(program);
    command.args(["-db", "-f"]).arg(file);
    Ok(command)
}

pub(super) fn nginx(hop: &Hop, dress: &Dress, ground: &Ground<'_>) -> anyhow::Result<Command> {
    let program = ground.programs.nginx.as_ref().context("not installed")?;
    ensure!(
        dress.protocol == Protocol::Http1,
        "nginx speaks no HTTP/2 to upstreams"
    );
    let log = if dress.everything {
        format!(
            r#"log_format all escape=json '{{"time":"$time_iso8601","method":"$request_method","path":"$uri","host":"$host","protocol":"$server_protocol","status":$status,"bytes":$body_bytes_sent,"duration":$request_time,"upstream":"$upstream_addr"}}';
  access_log {} all buffer=32k flush=1s;"#,
            ground
                .folder
                .join(format!("{}.access.log", hop.name))
                .display()
        )
    } else {
        "access_log off;".to_owned()
    };
    let folder = ground.folder.join(&hop.name);
    fs::create_dir_all(&folder)?;
    let config = format!(
        "daemon off;\nmaster_process off;\nerror_log stderr error;\npid {0}/nginx.pid;\n\
         events {{ worker_connections 10000; }}\n\
         http {{\n  {log}\n  keepalive_requests 1000000000;\n  \
         client_body_temp_path {0}/body;\n  proxy_temp_path {0}/proxy;\n  \
         fastcgi_temp_path {0}/fastcgi;\n  uwsgi_temp_path {0}/uwsgi;\n  scgi_temp_path {0}/scgi;\n  \
         upstream echo {{ server {2}; keepalive 256; keepalive_requests 1000000000; }}\n  \
         server {{\n    listen {1};\n    location /items {{\n      proxy_pass http://echo;\n      \
         proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n      \
         proxy_set_header Host $host;\n    }}\n  }}\n}}\n",
        folder.display(),
        hop.listen,
        hop.to
    );
    let file = ground.folder.join(format!("{}.conf", hop.name));
    fs::write(&file, config)?;
    let mut command = Command::new(program);
    command
        .arg("-p")
        .arg(folder)
        .args(["-e", "stderr", "-c"])
        .arg(file);
    Ok(command)
}
