"""Names of earlier versions, where a person or an older commit may still have them."""

PARAMETERS = {  # of params.yaml
    "tune.report_design": "tune.report_hyperparameters",
    "noise.text": "noise.as_described",
    "noise.harsh": "noise.as_coded",
    "noise.panel": "noise.figure_3",
    "gate.harsh_mse_e3": "gate.denoiser_as_coded_mse_e3",
}
FILES = {"reports/hyperparameters.json": "reports/design.json"}  # the earlier name of each
TRIAL_STATES = {"collapsed": "degenerate"}  # in what waits in the upload queue
