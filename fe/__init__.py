"""fe: the free-energy view of representation learning, exact where it can be. One concept a file; see the API pages."""

from .data import digits
from .equilibrium import Equilibrium, minimise, schedule
from .errors import NegativeCurvature, NotAtEquilibrium, NotConverged, SingularHessian
from .objective import Functionals, Ridge, flatten, functionals
from .process import Conserve, Path, QuasiStatic, follow
from .response import Response, conjugate_gradient, dense_response, linear_response, smallest_eigenpair
from .topographic import TopographicMap

__all__ = [
    "Conserve", "Equilibrium", "Functionals", "NegativeCurvature", "NotAtEquilibrium", "NotConverged", "Path",
    "QuasiStatic", "Response", "Ridge", "SingularHessian", "TopographicMap", "conjugate_gradient", "dense_response",
    "digits", "flatten", "follow", "functionals", "linear_response", "minimise", "schedule", "smallest_eigenpair",
]
