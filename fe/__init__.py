"""fe: the free-energy view of representation learning, exact where it can be; one concept a file"""

from .amortised import AmortisedObjective, free_energy_gap
from .data import digits
from .equilibrium import Equilibrium, minimise
from .errors import NegativeCurvature, NotAtEquilibrium, NotConverged, SingularHessian
from .gibbs import GridModel, GridTooCoarse, check_resolution, uniform_grid
from .linear_gaussian import LinearGaussian
from .networks import Classifier, Decoder, Encoder
from .objective import Ridge, classification, distortion, flatten, functionals, rate
from .path import Conserve, Geodesic, QuasiStatic, follow
from .rate_distortion import blahut_arimoto
from .response import Response, conjugate_gradient, linear_response, smallest_eigenpair
from .tasks import Displacement, Mixture, TaskObjective
from .topographic import TopographicMap
from .training import schedule
from .transport import optimal_plan
