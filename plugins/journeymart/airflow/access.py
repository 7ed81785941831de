"""A request for access as an Airflow task: written down, answered by somebody else, done.

Imports nothing but the standard library, Airflow and YAML, which Airflow needs itself.
"""

from datetime import timedelta
from typing import Any

import yaml
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context

from journeymart.airflow.steps import REPO, StepOperator

APPROVE, REFUSE = "승인 / Approve", "거절 / Refuse"
ROLES = REPO / "docker" / "superset" / "assets" / "roles.yml"
# As code, so that nothing in an answer is read as markup.
_BODY = """
- 계정 / Account: `{{ params.user_name }}`
- 이름 / Name: `{{ params.full_name | replace("`", "'") }}`
- 이메일 / E-mail: `{{ params.email | replace("`", "'") }}`
- 역할 / Role: `{{ params.role }}`
- 마지막 날 / Last day: `{{ params.until_on }}`
- 이유 / Reason: `{{ params.reason | replace("`", "'") }}`
- 요청한 사람 / Asked by: `{{ dag_run.triggering_user_name }}`
"""


def roles() -> dict[str, str]:
    """What can be asked for (roles.yml), and what people call it."""
    found: dict[str, str] = {}
    for name, role in yaml.load(ROLES.read_text("utf-8"), yaml.CSafeLoader)["roles"].items():
        title = f"{role['title']['ko']} / {role['title']['en']}"
        found |= {f"{name}@{at}": f"{title} ({at})" for at in role.get("departments", ())} or {name: title}
    return found


class AccessRequestOperator(StepOperator, HITLOperator):
    """Write down what the run's form asks for, wait for an answer under *Required Actions*, and do it.

    Who answered is what Airflow's server says, and the step refuses who may not; a task that somebody marks as
    successful gives nobody anything. What is not answered in time is refused.
    """

    template_fields = HITLOperator.template_fields  # a step's would hide these: who answers would read the templates

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            step="access-ask",
            subject="권한 요청 / Access request: {{ params.user_name }} → {{ params.role }}",
            body=_BODY,
            options=[APPROVE, REFUSE],
            defaults=REFUSE,
            response_timeout=timedelta(days=14),
            **kwargs,
        )

    def execute(self, context: Context) -> Any:
        """Write the request down and wait; a request that was answered before is only made good."""
        asked_by = context["dag_run"].triggering_user_name
        result = self.ask(context, "access-ask", dict(context["params"]), asked_by)
        return HITLOperator.execute(self, context) if result["state"] == "waiting" else result

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Do what was answered. Who may not approve fails the task, which then asks once more."""
        answer = super().execute_complete(context, event)
        by = (answer["responded_by_user"] or {}).get("name")
        return self.ask(context, "access-answer", {"is_approved": APPROVE in answer["chosen_options"], "by": by}, by)
