"""What goes wrong between here and MLflow, in words for a person."""

import re

from latent_digits.tracking.addresses import without_secrets

STATUS = re.compile(r"error code (\d{3})\b|too many (\d{3}) error|^(\d{3}) (?:Client|Server) E")
ASKED = re.compile(r"/api/[\d.]+/(?:mlflow/)?([\w./-]*\w)")
CAUSE = re.compile(r"\(Caused by \w+\(.*?: (.*?)[\"')]*$")
FILES = "mlflow-artifacts/artifacts/"
NO_MLFLOW = "what answers at this address is no MLflow; is its path complete?"
ANSWERS = {
    401: "it knows no such user with this password; set MLFLOW_TRACKING_USERNAME and "
    "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    403: "this user lacks a permission, for {asked}; ask whoever runs it",
    404: NO_MLFLOW,
    429: "it wants fewer requests",
    500: "it failed; its log says why",
    **dict.fromkeys((502, 503, 504), "it, its data base or what stands before it is not ready"),
}
FAILURES = {
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not one that is trusted here; name whoever "
    "signed it in REQUESTS_CA_BUNDLE",
    "timed out": "it does not answer in time",
    "Connection aborted": "it ended the connection",
}
ANSWERS_TO_FILES = ANSWERS | {
    404: "it has no such file, or serves none",
    413: "it, or what stands before it, takes no file of this size",
    **dict.fromkeys((500, 507), "its artifact store fails; is it full, or closed to the server?"),
}


def one_line(error: BaseException) -> str:
    """What went wrong, on one line, without passwords: a sentence, where the cause is known.

    A fault that lasts is told in the same words, whichever request or file meets it.
    """
    text = " ".join(without_secrets(str(error)).split())
    if answered := STATUS.search(text):
        status = int(answered[answered.lastindex or 0])
        found = ASKED.search(text)
        asked = found[1] if found else "a request"
        answers = ANSWERS_TO_FILES if asked.startswith(FILES) else ANSWERS
        if status in answers:
            return f"{answers[status].format(asked=asked)} ({status})"
        return f"it answers {status} to {asked}, which MLflow does not"
    if "not in a valid JSON format" in text:
        return NO_MLFLOW
    for words, sentence in FAILURES.items():
        if words in text:
            return sentence
    if cause := CAUSE.search(text):
        return cause[1]
    return f"{type(error).__name__}: {text[:300]}"
