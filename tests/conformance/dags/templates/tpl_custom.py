"""Macros and filters of the DAG, an operator's own template fields, nested templates, and literal()."""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, BaseOperator, literal


class Thing:
    template_fields = ("inner",)

    def __init__(self, inner) -> None:
        self.inner = inner


class Own(BaseOperator):
    template_fields = ("text", "listed", "mapped", "thing", "number")
    template_fields_renderers = {"mapped": "json"}

    def __init__(self, *, text=None, listed=None, mapped=None, thing=None, number=None, **more) -> None:
        super().__init__(**more)
        self.text, self.listed, self.mapped, self.thing, self.number = text, listed, mapped, thing, number

    def execute(self, context):
        return {
            "text": self.text,
            "listed": self.listed,
            "mapped": self.mapped,
            "thing": getattr(self.thing, "inner", None),
        }


with DAG(
    "tpl_custom",
    schedule=None,
    user_defined_macros={"greet": lambda name: f"hello {name}", "answer": 42},
    user_defined_filters={"shout": lambda text: text.upper() + "!"},
    doc_md="# Documented",
):
    Own(
        task_id="own",
        text="{{ greet('me') | shout }} {{ answer }}",
        listed=["{{ ds }}", ("{{ answer }}", 3), {"k": "{{ ds }}"}],
        mapped={"{{ ds }}": "{{ ds }}", "plain": {"deep": "{{ answer }}"}},
        thing=Thing("{{ ds }}"),
        number=5,
        doc_md="of {{ ds }}",
    )
    BashOperator(task_id="literal", bash_command=literal("echo '{{ ds }}'"))
