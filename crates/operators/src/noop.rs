//! `noop`: nothing, or a value.

use async_trait::async_trait;
use tradewind_types::NoopOptions;

use crate::{Finished, Operator, OperatorIo, OperatorResult, Renderer, TaskContext};

#[async_trait]
impl Operator for NoopOptions {
    async fn run(&self, ctx: &TaskContext, io: &dyn OperatorIo) -> OperatorResult {
        let Some(value) = &self.value else {
            return Ok(Finished::Success(None));
        };
        let mut renderer = Renderer::new(ctx, io);
        let value = renderer.json("value", value).await?;
        renderer.report().await?;
        Ok(Finished::Success(Some(value)))
    }
}
