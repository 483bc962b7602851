//! How a host finds assets, and the scopes of kept values.

use async_trait::async_trait;
use tradewind_guest::{AssetName, HostError, StateScope};
use tradewind_proto::v1;
use tradewind_types::AssetKey;

use crate::{
    assets::FindAsset,
    host::Host,
    host_answers::{Answer, answer, refused},
};

impl Host {
    /// Assets by name, URI or alias.
    pub(crate) async fn find_assets(
        &self,
        name: Option<&str>,
        uri: Option<&str>,
        alias: Option<&str>,
    ) -> Answer<Vec<tradewind_types::Asset>> {
        let query = v1::FindAssetsRequest {
            attempt: None,
            name: name.map(str::to_owned),
            uri: uri.map(str::to_owned),
            alias: alias.map(str::to_owned),
        };
        self.remote.assets(query).await.map_err(answer)
    }

    /// The name under which values are kept.
    pub(crate) async fn scope(&self, scope: &StateScope) -> Answer<String> {
        match scope {
            StateScope::Task(_) => {
                let ti = self.ti.as_ref().ok_or_else(|| refused("there is no task instance here".to_owned()))?;
                Ok(format!("task/{}/{}/{}/{}", ti.dag_id, ti.run_id, ti.task_id, ti.map_index))
            }
            StateScope::Asset(AssetName::Name(name)) => Ok(format!("asset/{name}")),
            StateScope::Asset(AssetName::Uri(uri)) => {
                let found = self.find_assets(None, Some(uri), None).await?;
                let asset = found.into_iter().next().ok_or_else(|| HostError::NotFound {
                    message: format!("no DAG names an asset with the URI \"{uri}\""),
                })?;
                Ok(format!("asset/{}", asset.key.name))
            }
        }
    }
}

#[async_trait]
impl FindAsset for Host {
    async fn find(&self, name: Option<&str>, uri: Option<&str>) -> Result<Option<AssetKey>, String> {
        let found = self.find_assets(name, uri, None).await.map_err(|error| error.to_string())?;
        Ok(found.into_iter().next().map(|asset| asset.key))
    }
}
