//! Assets in YAML DAGs: what tasks update and read, and schedules on them.

use tradewind_types::{Asset, AssetCondition, AssetKey, AssetRef};

use super::{
    build::Builder,
    decode::{Fault, decode},
    fields::AssetFields,
    node::{Entry, Node, Yaml},
};

/// How a file names an asset, and the asset itself where it is not named by reference.
type Named = (AssetRef, Option<Asset>);

impl Builder<'_> {
    /// The inlets or outlets of a task: one asset or a list.
    pub(super) fn assets_of(&mut self, entry: &Entry, path: &str) -> Vec<AssetRef> {
        let path = format!("{path}.{}", entry.key);
        let one = std::slice::from_ref(&entry.node);
        let nodes = match &entry.node.value {
            Yaml::Null => return Vec::new(),
            Yaml::List(items) => items.as_slice(),
            _ => one,
        };
        let mut refs = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            let step = if nodes.len() == 1 { path.clone() } else { format!("{path}[{}]", index + 1) };
            if let Some((named, asset)) = self.keep(read_asset(node), node.at, &step) {
                self.assets.extend(asset);
                refs.push(named);
            }
        }
        refs
    }
}

/// Reads the `assets` of a schedule: an asset, a list (all of them), or `all:`/`any:` with a list of the same.
pub(super) fn read_condition(node: &Node, assets: &mut Vec<Asset>) -> Result<AssetCondition, Fault> {
    let mut list = |items: &[Node], step: &str| -> Result<Vec<AssetCondition>, Fault> {
        if items.is_empty() {
            return Err(Fault::new(node.at, step, "names no asset"));
        }
        let read = |(index, item): (usize, &Node)| {
            read_condition(item, assets).map_err(|fault| fault.within(item.at, &format!("{step}[{}]", index + 1)))
        };
        items.iter().enumerate().map(read).collect()
    };
    match &node.value {
        Yaml::List(items) => Ok(AssetCondition::All { of: list(items, "")? }),
        Yaml::Map(entries) if entries.iter().any(|entry| entry.key == "all" || entry.key == "any") => {
            let [entry] = entries.as_slice() else {
                return Err(Fault::new(node.at, "", "\"all\" or \"any\" stands alone; nest one in the other's list"));
            };
            let Yaml::List(items) = &entry.node.value else {
                let message = format!("expects a list of assets, found {}", entry.node.described());
                return Err(Fault::new(entry.node.at, &entry.key, message));
            };
            let of = list(items, &entry.key)?;
            Ok(if entry.key == "all" { AssetCondition::All { of } } else { AssetCondition::Any { of } })
        }
        _ => {
            let (asset, declared) = read_asset(node)?;
            assets.extend(declared);
            Ok(AssetCondition::One { asset })
        }
    }
}

fn read_asset(node: &Node) -> Result<Named, Fault> {
    let fault = |key: &str, message: &str| Fault::new(node.place_of(key), key, message);
    let fields = match &node.value {
        Yaml::Text(text) => AssetFields { name: Some(text.clone()), ..AssetFields::default() },
        Yaml::Map(_) => decode(node)?,
        _ => {
            let message = format!("expects an asset: a name, a URI, or a mapping, found {}", node.described());
            return Err(Fault::new(node.at, "", message));
        }
    };
    let others = fields.name.is_some() || fields.uri.is_some() || fields.group.is_some() || fields.extra.is_some();
    match (fields.alias, fields.reference) {
        (None, None) => {}
        (Some(_), Some(_)) => return Err(fault("ref", "does not go with alias: give one of them")),
        (Some(_), _) if others => return Err(fault("alias", "stands alone: an alias has a name only")),
        (_, Some(_)) if others => {
            return Err(fault("ref", "stands alone: it is the name or URI of another DAG's asset"));
        }
        (Some(name), _) => return Ok((AssetRef::Alias { name }, None)),
        (_, Some(text)) if text.contains("://") => {
            let uri = normal_uri(&text).map_err(|message| fault("ref", &message))?;
            return Ok((AssetRef::Uri { uri }, None));
        }
        (_, Some(name)) => return Ok((AssetRef::Name { name }, None)),
    }
    let given = fields.uri.clone().or_else(|| fields.name.clone());
    let given = given.ok_or_else(|| fault("", "needs a name or a uri"))?;
    let name = fields.name.unwrap_or_else(|| given.clone());
    if name.trim().is_empty() || matches!(name.as_str(), "self" | "context") {
        return Err(fault("name", &format!("\"{name}\" cannot be the name of an asset")));
    }
    let uri = normal_uri(&given).map_err(|message| fault("uri", &message))?;
    let key = AssetKey { name, uri };
    let extra = fields.extra.unwrap_or_default().into_iter().collect();
    let group = fields.group.unwrap_or_else(|| "asset".to_owned());
    Ok((AssetRef::Asset(key.clone()), Some(Asset { key, group, extra })))
}

/// A URI in the form that Airflow gives it, so that DAGs in both languages mean the same asset. What has no `://` is a
/// plain name and stays.
fn normal_uri(uri: &str) -> Result<String, String> {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return Ok(uri.to_owned());
    };
    let scheme = scheme.to_lowercase();
    if scheme.starts_with("x-") {
        return Ok(uri.to_owned());
    }
    if scheme == "airflow" {
        return Err("the scheme \"airflow\" is reserved".to_owned());
    }
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, query)| (rest, query));
    let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    if host.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
        return Err("holds a password; an asset's URI only names it, so leave user and password out".to_owned());
    }
    if scheme == "file" && path.is_empty() {
        return Err(format!("\"{uri}\" has no path: write file:///path"));
    }
    let path = match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    };
    let mut pairs: Vec<&str> =
        query.split('&').filter(|pair| pair.split_once('=').is_some_and(|(_, v)| !v.is_empty())).collect();
    pairs.sort_unstable();
    let mark = if pairs.is_empty() { "" } else { "?" };
    Ok(format!("{scheme}://{host}{path}{mark}{}", pairs.join("&")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_airflow_s() {
        // What airflow.sdk.Asset(uri).uri of 3.3.2 gave.
        for (uri, normal) in [
            ("orders", "orders"),
            ("s3://bucket", "s3://bucket/"),
            ("s3://bucket/key", "s3://bucket/key"),
            ("S3://Bucket/Key//", "s3://Bucket/Key"),
            ("https://host/path/?b=2&a=1#part", "https://host/path?a=1&b=2"),
            ("https://host?x=&y=1", "https://host/?y=1"),
            ("file:///data/x.csv", "file:///data/x.csv"),
            ("x-team://a//", "x-team://a//"),
            ("postgres://user@host/db/s/t", "postgres://user@host/db/s/t"),
        ] {
            assert_eq!(normal_uri(uri).as_deref(), Ok(normal));
        }
        assert!(normal_uri("https://user:secret@host/").unwrap_err().contains("password"));
        assert!(normal_uri("airflow://x").is_err());
        assert!(normal_uri("file://").is_err());
    }
}
